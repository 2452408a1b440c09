"""Wire formats: what clients send and receive."""
