"""Puts a server together from its parts and runs it until it is told to stop."""

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from hostler import __version__
from hostler.catalogue import read_catalogue
from hostler.config import Settings, registry_path
from hostler.errors import ServiceError
from hostler.lifecycle.manager import ModelManager
from hostler.logs import configure_logging
from hostler.models.estimator import FootprintEstimator
from hostler.registry import Registry
from hostler.server.app import create_app
from hostler.server.connection import connection_class
from hostler.server.draining import Drain
from hostler.server.services import Services
from hostler.telemetry.tracing import tracer_for
from hostler.watching import FileWatch, watch
from hostler.worker.launcher import ForkserverLauncher

logger = logging.getLogger(__name__)

_LAST_BYTES_S = 5
"""For clients to take what was written to them when the drain ended."""


def serve(config: Path | None, command_line: dict[str, Any], announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; streams then have `shutdown_grace_s` to finish, a second signal cuts them off.

    `announce` is given a short summary once requests are accepted.

    Raises:
        ConfigError: the registry file or a setting cannot be used.
        ServiceError: the address cannot be listened on, or the engine is not installed.
    """
    # What reading the settings has to say is not to be of another form than all that follows.
    form = str(command_line.get("log_format") or os.environ.get("LOG_FORMAT", ""))
    configure_logging("INFO", "json" if form.lower() == "json" else "human")
    path = registry_path(config)
    # Looked at before it is read: what changes in between is noticed.
    file = FileWatch(path)
    settings, registry = read_catalogue(path, command_line)
    configure_logging(settings.log_level, settings.log_format, settings.secrets)
    with listen(settings.host, settings.port) as listener:
        manager = ModelManager(registry, settings, ForkserverLauncher(settings), FootprintEstimator(settings))
        tracer = tracer_for(os.environ)
        app = create_app(
            manager,
            settings,
            read_catalogue=lambda: read_catalogue(path, command_line, settings),
            tracer=tracer,
        )
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_run(app, manager, settings, file, listener, announce))
        if tracer is not None:
            tracer.close()


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
    app: FastAPI,
    manager: ModelManager,
    settings: Settings,
    file: FileWatch,
    listener: socket.socket,
    announce: Callable[[str], None],
) -> None:
    services: Services = app.state.services
    server = GatewayServer(
        uvicorn_config(app, settings),
        on_started=partial(_announce, settings, manager.registry, listener, announce),
        drain=partial(drain, services.drain, manager, settings.shutdown_grace_s),
    )
    loop = asyncio.get_running_loop()
    chores: set[asyncio.Task[None]] = set()

    def reload_soon() -> None:
        task = loop.create_task(services.reloader.reload_and_log("SIGHUP"))
        chores.add(task)
        task.add_done_callback(chores.discard)

    for signal_number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signal_number, server.stop)
    loop.add_signal_handler(signal.SIGHUP, reload_soon)
    if settings.watch_config:
        chores.add(loop.create_task(watch(file, partial(services.reloader.reload_and_log, "file_changed"))))
    try:
        await server.serve(sockets=[listener])
    finally:
        for chore in chores:
            chore.cancel()
        await asyncio.gather(*chores, return_exceptions=True)
        await manager.close()
        logger.info("stopped")


async def drain(running: Drain, manager: ModelManager, grace_s: float, hurry: asyncio.Event) -> None:
    """Let requests that have their model finish, for so many seconds at most and until `hurry`; end the others.

    Those that are cut off are told so inside their streams. When it returns, no worker is left.
    """
    running.begun.set()
    manager.drain()
    logger.info("draining num_requests=%d grace_s=%g", running.num_running, grace_s)
    waits = [asyncio.create_task(event.wait()) for event in (running.idle, hurry)]
    try:
        await asyncio.wait(waits, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    if running.num_running:
        logger.warning("requests_cut_off num_requests=%d hurried=%s", running.num_running, hurry.is_set())
    await manager.close()


class GatewayServer(uvicorn.Server):
    """uvicorn's server, but a signal is a request to stop and not how the process ends: its exit status is 0.

    uvicorn would close its listener at once. Here it is open until the drain is over, so that whoever looks in between
    finds a server that says it is leaving, and when to come back.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        on_started: Callable[[], None],
        drain: Callable[[asyncio.Event], Coroutine[Any, Any, None]],
    ) -> None:
        """`drain`: returns when nothing runs any more; its event is set when that is not to be waited for."""
        super().__init__(config)
        self._on_started = on_started
        self._drain = drain
        self._draining: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    def stop(self) -> None:
        """Accept nothing new and let streams finish; called again, end them. Needs a running loop."""
        logger.info("stopping at_once=%s", self._draining is not None)
        if self._draining is None:
            self._draining = asyncio.create_task(self._leave())
        else:
            self._hurry.set()

    async def _leave(self) -> None:
        try:
            await self._drain(self._hurry)
        finally:
            self.should_exit = True


def uvicorn_config(app: Any, settings: Settings) -> uvicorn.Config:
    """uvicorn as this server wants it: what it says and trusts by itself is left to us."""
    return uvicorn.Config(
        app,
        http=connection_class(settings),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        # Explicit in both cases: uvicorn itself would trust this machine's own processes.
        proxy_headers=bool(settings.forwarded_allow_ips),
        forwarded_allow_ips=settings.forwarded_allow_ips,
        timeout_graceful_shutdown=_LAST_BYTES_S,
    )


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:  # not made for Windows
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def _announce(settings: Settings, registry: Registry, listener: socket.socket, announce: Callable[[str], None]) -> None:
    if settings.log_format == "human":
        announce(summary(settings, registry, listener))
    else:
        host, port = listener.getsockname()[:2]
        logger.info("serving host=%s port=%d num_models=%d version=%s", host, port, len(registry), __version__)


def summary(settings: Settings, registry: Registry, listener: socket.socket) -> str:
    """What is printed at start: where it serves what, and whether a key is needed."""
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    first_model = f"; {settings.default_model} is loaded now" if settings.default_model else ""
    is_needed = settings.api_key is not None or settings.keys_file.exists()
    key = "needed" if is_needed else "not needed (there is none)"
    return (
        f"Hostler {__version__} serves on {url}\n"
        f"  models  {len(registry)} registered, loaded on demand{first_model}\n"
        f"  key     {key}\n"
        f"  docs    {url}/docs"
    )
