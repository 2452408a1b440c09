"""What is measured while the server runs, for Prometheus."""
