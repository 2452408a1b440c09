"""An application over fake workers, called without a socket."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.types import Message, Receive, Scope, Send

from hostler.config import Settings
from hostler.errors import ModelNotFoundError
from hostler.lifecycle.manager import ModelManager
from hostler.memory import Estimate
from hostler.registry import ModelEntry, Registry, load_registry
from hostler.server.app import create_app
from hostler.server.hub_account import HubAccount
from hostler.server.services import Services
from hostler.server.streaming import StreamTiming
from hostler.telemetry.tracing import RequestTracer
from hostler.testing.estimator import FakeEstimator, NoGpus
from hostler.testing.worker import FakeLauncher
from hostler.unlisted import LookUp
from hostler.yaml_file import YamlFile

MODELS: dict[str, dict[str, Any]] = {
    "tiny-chat": {"name": "acme/Tiny-Chat", "type": "conversational", "suggested_temperature": 0.5},
    "tiny-text": {"name": "tiny", "type": "text"},
    "other-text": {"name": "acme/Other", "type": "text", "max_queued_requests": 3},
    "tiny-gated": {"name": "acme/Gated", "type": "instruction", "gated": True},
}


def registry_of(models: dict[str, dict[str, Any]], settings: Settings) -> Registry:
    defaults = {"size": "1M", "description": "for tests", "max_length": 1024}
    content = {"models": {model_id: defaults | entry for model_id, entry in models.items()}}
    return load_registry(YamlFile(Path("models.yaml"), content, {}), settings)


@dataclass
class Served:
    """A running application."""

    app: FastAPI
    client: httpx2.AsyncClient
    launcher: FakeLauncher
    manager: ModelManager

    @property
    def services(self) -> Services:
        services: Services = self.app.state.services
        return services


class StatusRecorder:
    """Between a client and an application: which route answered what."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self.seen: set[tuple[str, str, int]] = set()
        """Method, path as in the document, status. Routes that are not documented at all are left out."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_and_record(message: Message) -> None:
            if message["type"] == "http.response.start" and (route := scope.get("route")) is not None:
                self._record(route, scope["method"], message["status"])
            await send(message)

        await self._app(scope, receive, send_and_record)

    def _record(self, route: APIRoute, method: str, status: int) -> None:
        if route.include_in_schema and method in (route.methods or ()):
            self.seen.add((method, route.path_format, status))


@cache
def documented_statuses() -> set[tuple[str, str, int]]:
    app, _ = make_app(FakeLauncher(), Settings())
    return {
        (method.upper(), path, int(status))
        for path, operations in app.openapi()["paths"].items()
        for method, operation in operations.items()
        for status in operation["responses"]
    }


def only_listed(name: str) -> ModelEntry:
    """A hub without models."""
    raise ModelNotFoundError(f"no model {name!r} is registered, and the hub has none", param="model")


def make_app(
    launcher: FakeLauncher,
    settings: Settings,
    *,
    models: dict[str, dict[str, Any]] = MODELS,
    read_catalogue: Callable[[], tuple[Settings, Registry]] | None = None,
    look_up: LookUp | None = None,
    estimates: Mapping[str, Estimate] | None = None,
    timing: StreamTiming | None = None,
    hub_account: HubAccount | None = None,
    tracer: RequestTracer | None = None,
) -> tuple[FastAPI, ModelManager]:
    registry = registry_of(models, settings)
    manager = ModelManager(registry, settings, launcher, FakeEstimator(dict(estimates or {})), gpus=NoGpus())
    app = create_app(
        manager,
        settings,
        read_catalogue=read_catalogue or (lambda: (settings, registry)),
        look_up=look_up or only_listed,
        timing=timing,
        hub_account=hub_account,
        tracer=tracer,
    )
    return app, manager


@asynccontextmanager
async def serving(
    *,
    client_host: str = "127.0.0.1",
    base_url: str = "http://localhost",
    models: dict[str, dict[str, Any]] = MODELS,
    read_catalogue: Callable[[], tuple[Settings, Registry]] | None = None,
    look_up: LookUp | None = None,
    estimates: Mapping[str, Estimate] | None = None,
    timing: StreamTiming | None = None,
    hub_account: HubAccount | None = None,
    tracer: RequestTracer | None = None,
    **settings: Any,
) -> AsyncIterator[Served]:
    launcher = FakeLauncher()
    app, manager = make_app(
        launcher,
        Settings(**settings),
        models=models,
        read_catalogue=read_catalogue,
        look_up=look_up,
        estimates=estimates,
        timing=timing,
        hub_account=hub_account,
        tracer=tracer,
    )
    recorder = StatusRecorder(app)
    transport = httpx2.ASGITransport(recorder, client=(client_host, 50000), raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url=base_url) as client,
    ):
        yield Served(app, client, launcher, manager)
    assert recorder.seen <= documented_statuses(), "answers that the OpenAPI document does not have"


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving() as running:
        yield running
