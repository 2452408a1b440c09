"""Hostler keeps a stable of Hugging Face models behind one HTTP API."""

__version__ = "0.1.0"
