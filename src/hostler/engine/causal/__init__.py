"""Decoder-only models: two ways to compute them, and which architecture takes which."""
