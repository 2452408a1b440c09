"""What the routes work with, made once for an application."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from hostler.config import Settings
from hostler.errors import ModelNotFoundError
from hostler.lifecycle.manager import ModelManager
from hostler.registry import ModelSpec, Registry
from hostler.reloading import Reloader
from hostler.server.auth import Gate
from hostler.server.draining import Drain
from hostler.server.hub_account import HubAccount
from hostler.server.principal import Principal
from hostler.server.rate_limits import RateLimits
from hostler.server.streaming import StreamTiming
from hostler.telemetry.server_metrics import ServerMetrics


@dataclass
class Services:
    manager: ModelManager
    settings: Settings
    reloader: Reloader
    gate: Gate
    hub_account: HubAccount
    timing: StreamTiming
    rate_limits: RateLimits
    metrics: ServerMetrics | None
    """`None`: nothing is measured."""
    started_at: int = field(default_factory=lambda: int(time.time()))
    """Unix seconds."""
    drain: Drain = field(default_factory=Drain)
    started: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while the start is over, the load of `default_model` included, and the end has not come."""

    @property
    def is_ready(self) -> bool:
        return self.started.is_set()


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def _services_of(request: Request) -> Services:
    # FastAPI runs a dependency that is no coroutine in a thread.
    return _services(request)


def _visible(request: Request) -> list[ModelSpec]:
    principal: Principal = request.state.principal
    return [spec for spec in _services(request).manager.registry.values() if principal.may_use(spec)]


async def _visible_to(request: Request) -> list[ModelSpec]:
    return _visible(request)


async def _resolve(request: Request, model_id: str) -> ModelSpec:
    """The model that a path names."""
    return await resolve(request, model_id)


async def resolve(request: Request, name: str) -> ModelSpec:
    """A model by id or Hugging Face name, noted for the request's line in the log.

    Raises:
        ModelNotFoundError: none answers to it, and the hub has none, or may not be asked; or the caller's key is not
            for it, which looks the same, since what there is besides is none of its business.
        GatedModelError, ModelLoadError: as `Reloader.find`.
    """
    services = _services(request)
    principal: Principal = request.state.principal
    if not principal.sees_all_models:
        registry = services.manager.registry
        is_allowed = (
            principal.may_use(registry.resolve(name)) if registry.answers_to(name) else principal.may_name(name)
        )
        if not is_allowed:
            raise ModelNotFoundError(
                f"there is no model {name[:200]!r}, or this key is not for it (GET /models lists those that it is for)",
                param="model",
            )
    spec = await services.reloader.find(name)
    request.state.model_id = spec.id
    return spec


async def resolve_or_usual(request: Request, name: str | None) -> ModelSpec:
    """The model of that name; without a name the usual one: the only one in memory, else `default_model`, else the
    first that is registered.

    Raises:
        ModelNotFoundError: also where none is registered.
        GatedModelError, ModelLoadError: as `Reloader.find`.
    """
    services = _services(request)
    visible = Registry({spec.id: spec for spec in _visible(request)})
    loaded_ids = [model_id for model_id in services.manager.loaded_ids() if model_id in visible]
    if name is None and len(loaded_ids) == 1:
        name = loaded_ids[0]
    if name is None:
        name = services.settings.default_model or visible.first().id
    return await resolve(request, name)


ServicesDep = Annotated[Services, Depends(_services_of)]
VisibleModels = Annotated[list[ModelSpec], Depends(_visible_to)]
"""The registered models that the caller may use."""
PathModel = Annotated[ModelSpec, Depends(_resolve)]
