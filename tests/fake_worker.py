"""Moved to `hostler.testing`."""

from hostler.testing.worker import FakeLauncher, FakeWorker

__all__ = ["FakeLauncher", "FakeWorker"]
