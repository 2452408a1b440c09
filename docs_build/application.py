"""The application with its defaults, whose routes and metrics are described. Nothing of it is started."""

from functools import cache

from fastapi import FastAPI

from hostler.config import Settings
from hostler.lifecycle.manager import ModelManager
from hostler.models.estimator import FootprintEstimator
from hostler.registry import Registry
from hostler.server.app import create_app
from hostler.telemetry.server_metrics import ServerMetrics
from hostler.worker.launcher import ForkserverLauncher


@cache
def default_settings() -> Settings:
    """Whatever the environment says."""
    return Settings.model_construct()


@cache
def application() -> FastAPI:
    settings = default_settings()
    return create_app(_manager(), settings, read_catalogue=lambda: (settings, Registry({})))


def server_metrics() -> ServerMetrics:
    return ServerMetrics(_manager())


def _manager() -> ModelManager:
    settings = default_settings()
    return ModelManager(Registry({}), settings, ForkserverLauncher(settings), FootprintEstimator(settings))
