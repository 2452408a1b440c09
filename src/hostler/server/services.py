"""What the routes work with, made once for an application."""

import time
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from prometheus_client import CollectorRegistry

from hostler.config import Settings
from hostler.lifecycle.manager import ModelManager
from hostler.registry import ModelSpec
from hostler.reloading import Reloader
from hostler.server.auth import Gate
from hostler.server.draining import Drain
from hostler.server.hub_account import HubAccount
from hostler.server.rate_limits import RateLimits
from hostler.server.streaming import StreamTiming


@dataclass
class Services:
    manager: ModelManager
    settings: Settings
    reloader: Reloader
    gate: Gate
    hub_account: HubAccount
    timing: StreamTiming
    rate_limits: RateLimits
    metrics: CollectorRegistry | None
    """`None`: nothing is measured."""
    started_at: int = field(default_factory=lambda: int(time.time()))
    """Unix seconds."""
    drain: Drain = field(default_factory=Drain)
    is_ready: bool = False
    """Whether the start is over, the load of `default_model` included."""


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def _resolve(request: Request, model_id: str) -> ModelSpec:
    """The model that a path names."""
    return await resolve(request, model_id)


async def resolve(request: Request, name: str) -> ModelSpec:
    """A model by id or Hugging Face name, noted for the request's line in the log.

    Raises:
        ModelNotFoundError: none answers to it, and the hub has none, or may not be asked.
        GatedModelError, ModelLoadError: as `Reloader.find`.
    """
    spec = await _services(request).reloader.find(name)
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
    loaded_ids = services.manager.loaded_ids()
    if name is None and len(loaded_ids) == 1:
        name = loaded_ids[0]
    if name is None:
        name = services.settings.default_model or services.manager.registry.first().id
    return await resolve(request, name)


ServicesDep = Annotated[Services, Depends(_services)]
PathModel = Annotated[ModelSpec, Depends(_resolve)]
