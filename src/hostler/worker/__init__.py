"""The process border: a model's process and the gateway's hold on it."""
