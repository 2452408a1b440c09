"""The HTTP application."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from hostler import __version__
from hostler.config import Settings
from hostler.errors import HostlerError
from hostler.lifecycle.manager import ModelManager
from hostler.models.hub_lookup import HubLookUp
from hostler.registry import Registry
from hostler.reloading import Reloader
from hostler.server import (
    admin,
    anthropic,
    capabilities,
    compare,
    docs,
    listed_models,
    metrics,
    models,
    native,
    openai,
    playground,
    pooling,
    responses,
    stable,
    system,
    tokenizer,
)
from hostler.server.auth import Gate, require_access
from hostler.server.direct_route import DirectPaths
from hostler.server.draining import Drain, DrainGate
from hostler.server.errors import install_handlers
from hostler.server.hub_account import HubAccount
from hostler.server.keyring import Keyring
from hostler.server.openapi import install_openapi
from hostler.server.origin_guard import OriginGuard
from hostler.server.rate_limits import HEADERS as RATE_LIMIT_HEADERS
from hostler.server.rate_limits import RateLimits
from hostler.server.request_recorder import RequestRecorder
from hostler.server.services import Services
from hostler.server.streaming import StreamTiming
from hostler.telemetry.request_metrics import RequestMetrics
from hostler.telemetry.server_metrics import ServerMetrics
from hostler.telemetry.tracing import RequestTracer
from hostler.unlisted import LookUp
from hostler.watching import watch

logger = logging.getLogger(__name__)


def create_app(
    manager: ModelManager,
    settings: Settings,
    *,
    read_catalogue: Callable[[], tuple[Settings, Registry]],
    timing: StreamTiming | None = None,
    hub_account: HubAccount | None = None,
    look_up: LookUp | None = None,
    tracer: RequestTracer | None = None,
) -> FastAPI:
    """The application. It starts the manager when it starts and closes it when it ends.

    `read_catalogue` gives the configuration as it is now; it is called in a thread and raises `ConfigError`. `look_up`
    asks the hub for a model that a request names and the registry does not; `None`: as the settings have it. `tracer`:
    whose end is its maker's affair; `None`: nothing is traced.
    """
    server_metrics = ServerMetrics(manager) if settings.enable_metrics else None
    services = Services(
        manager=manager,
        settings=settings,
        reloader=Reloader(manager, settings, read_catalogue, look_up or HubLookUp(settings)),
        gate=Gate(settings, Keyring(settings)),
        hub_account=hub_account or HubAccount(settings.hf_token),
        timing=timing or StreamTiming(),
        rate_limits=RateLimits(settings),
        metrics=server_metrics,
    )
    app = FastAPI(
        title="Hostler",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        # Requests are traced and measured by what is built here; FastAPI would do it a second time.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        dependencies=[Depends(require_access)],
        middleware=_middleware(
            settings, services.drain, None if server_metrics is None else server_metrics.requests, tracer
        ),
        lifespan=_lifespan,
    )
    app.state.services = services
    generating = (native, compare, tokenizer, openai, responses, anthropic, pooling)
    modules = (system, metrics, models, listed_models, capabilities, stable, *generating, admin, docs, playground)
    for module in modules:
        app.include_router(module.router)
    paths = DirectPaths(app.router.middleware_stack, (route for module in modules for route in module.router.routes))
    app.router.middleware_stack = paths
    install_handlers(app)
    install_openapi(app)
    return app


def _middleware(
    settings: Settings, drain: Drain, metrics: RequestMetrics | None, tracer: RequestTracer | None
) -> list[Middleware]:
    """From the outermost to the innermost."""
    middleware = [
        Middleware(RequestRecorder, metrics=metrics, tracer=tracer),
        Middleware(OriginGuard, settings=settings),
    ]
    if settings.cors_origins:
        cors = Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["x-request-id", "openai-processing-ms", "retry-after", *RATE_LIMIT_HEADERS],
        )
        middleware.append(cors)
    middleware.append(Middleware(DrainGate, drain=drain))
    return middleware


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    if services.settings.insecure_no_auth and not services.gate.keyring.is_needed:
        logger.warning("insecure_no_auth meaning=%r", "whoever reaches this server may do everything")
    await services.manager.start()
    if services.settings.default_model is None:
        services.started.set()
    start = asyncio.create_task(_finish_start(services))
    keyring = services.gate.keyring
    keys = asyncio.create_task(watch(keyring.file, keyring.reload_and_log))
    try:
        yield
    finally:
        services.started.clear()
        start.cancel()
        keys.cancel()
        await asyncio.gather(start, keys, return_exceptions=True)
        await services.manager.close()
        await services.rate_limits.windows.close()


async def _finish_start(services: Services) -> None:
    """What takes long, while requests are answered already."""
    if (name := services.settings.default_model) is not None:
        try:
            await services.manager.load(await services.reloader.find(name))
        except HostlerError as exc:
            logger.warning("default_model_not_loaded model=%s error=%s", name[:200], exc.message)
    services.started.set()
