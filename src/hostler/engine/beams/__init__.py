"""Beam search, for every kind of model."""
