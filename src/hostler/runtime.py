"""Puts a server together from its parts and runs it until it is told to stop."""

import asyncio
import contextlib
import errno
import logging
import signal
import socket
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import uvicorn

from hostler import __version__
from hostler.config import Settings, registry_path
from hostler.errors import ServiceError
from hostler.lifecycle.manager import ModelManager
from hostler.logs import configure_logging
from hostler.models.estimator import FootprintEstimator
from hostler.registry import Registry, read_configuration
from hostler.server.app import create_app
from hostler.worker.launcher import ForkserverLauncher

logger = logging.getLogger(__name__)


def serve(config: Path | None, command_line: dict[str, Any], announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; streams then have `shutdown_grace_s` to finish, a second signal cuts them off.

    `announce` is given a short summary once requests are accepted.

    Raises:
        ConfigError: the registry file or a setting cannot be used.
        ServiceError: the address cannot be listened on, or the engine is not installed.
    """
    configure_logging("INFO")
    path = registry_path(config)
    settings, registry = read_configuration(path, command_line)
    configure_logging(settings.log_level)
    listener = listen(settings.host, settings.port)

    def reload_registry() -> Registry:
        return read_configuration(path, command_line)[1]

    with listener, asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_run(settings, registry, reload_registry, listener, announce))


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address, so that a port in use is known before anything else is started.

    Raises:
        ServiceError: the address cannot be had; says what to do.
    """
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # A name like localhost has two; clients that know only IPv4 are many, those that know only IPv6 are not.
        family, kind, protocol, _, address = min(addresses, key=lambda found: found[0] != socket.AF_INET)
        with contextlib.ExitStack() as on_failure:
            listener = on_failure.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            on_failure.pop_all()
            return listener
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            problem = f"port {port} of {host} is in use: stop what listens there, or choose another with --port or PORT"
        else:
            problem = f"cannot listen on {host} port {port} ({exc.strerror}): choose others with HOST and PORT"
        raise ServiceError(problem) from exc


async def _run(
    settings: Settings,
    registry: Registry,
    reload_registry: Callable[[], Registry],
    listener: socket.socket,
    announce: Callable[[str], None],
) -> None:
    manager = ModelManager(registry, settings, ForkserverLauncher(settings), FootprintEstimator(settings))
    app = create_app(manager, settings, reload_registry=reload_registry)
    server = GatewayServer(
        uvicorn_config(app, settings), on_started=lambda: announce(summary(settings, registry, listener))
    )
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signal_number, server.stop)
    try:
        await server.serve(sockets=[listener])
    finally:
        # The application does this too, but not when a second signal cut its end short.
        await manager.close()
        logger.info("stopped")


class GatewayServer(uvicorn.Server):
    """uvicorn's server, but a signal is a request to stop and not how the process ends: its exit status is 0."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    def stop(self) -> None:
        """Accept nothing new and let streams finish; called again, end them."""
        logger.info("stopping at_once=%s", self.should_exit)
        self.force_exit = self.should_exit
        self.should_exit = True


def uvicorn_config(app: Any, settings: Settings) -> uvicorn.Config:
    """uvicorn as this server wants it: what it says and trusts by itself is left to us."""
    return uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        # Explicit in both cases: uvicorn itself would trust this machine's own processes.
        proxy_headers=bool(settings.forwarded_allow_ips),
        forwarded_allow_ips=settings.forwarded_allow_ips,
        timeout_graceful_shutdown=round(settings.shutdown_grace_s),
    )


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:  # not made for Windows
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def summary(settings: Settings, registry: Registry, listener: socket.socket) -> str:
    """What is printed at start: where it serves what, and whether a key is needed."""
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    first_model = f"; {settings.default_model} is loaded now" if settings.default_model else ""
    key = "needed (API_KEY)" if settings.api_key else "not needed (API_KEY is not set)"
    return (
        f"Hostler {__version__} serves on {url}\n"
        f"  models  {len(registry)} registered, loaded on demand{first_model}\n"
        f"  key     {key}\n"
        f"  docs    {url}/docs"
    )
