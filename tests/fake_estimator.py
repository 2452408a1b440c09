"""Moved to `hostler.testing`."""

from hostler.testing.estimator import FakeEstimator, NoGpus, footprint

__all__ = ["FakeEstimator", "NoGpus", "footprint"]
