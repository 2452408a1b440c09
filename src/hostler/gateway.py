"""Puts a gateway together from its parts, and runs it on sockets until it is told to stop."""

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

from fastapi import FastAPI

from hostler.catalogue import read_catalogue
from hostler.config import Settings, registry_path
from hostler.gateway_server import GatewayServer, drain, uvicorn_config
from hostler.lifecycle.manager import ModelManager
from hostler.logs import configure_logging
from hostler.models.estimator import FootprintEstimator
from hostler.registry import Registry
from hostler.server.app import create_app
from hostler.server.services import Services
from hostler.telemetry.tracing import RequestTracer, tracer_for
from hostler.watching import FileWatch, watch
from hostler.worker.launcher import ForkserverLauncher

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Configuration:
    """What a server was started with."""

    path: Path
    """Of the registry's file."""
    command_line: dict[str, Any]
    file: FileWatch
    settings: Settings
    registry: Registry

    @classmethod
    def read(cls, config: Path | None, command_line: dict[str, Any]) -> Self:
        """Logging follows it from here on.

        Raises:
            ConfigError: the registry file or a setting cannot be used.
        """
        # What reading the settings has to say is not to be of another form than all that follows.
        form = str(command_line.get("log_format") or os.environ.get("LOG_FORMAT", ""))
        configure_logging("INFO", "json" if form.lower() == "json" else "human")
        path = registry_path(config)
        # Looked at before it is read: what changes in between is noticed.
        file = FileWatch(path)
        settings, registry = read_catalogue(path, command_line)
        configure_logging(settings.log_level, settings.log_format, settings.secrets)
        return cls(path, command_line, file, settings, registry)


@dataclass(frozen=True)
class Occasions:
    """What whoever started a gateway is told, each when it is due."""

    started: Callable[[], None] | None = None
    """Requests are accepted."""
    ready: Callable[[], None] | None = None
    """The start is over, the load of the default model included."""
    stopping: Callable[[], None] | None = None
    beat: Callable[[], Awaitable[None]] | None = None
    """Its event loop runs."""
    beat_every_s: float = 10.0


@dataclass(frozen=True)
class Gateway:
    """Its parts. It has started nothing yet."""

    app: FastAPI
    manager: ModelManager
    configuration: Configuration
    tracer: RequestTracer | None

    @classmethod
    def of(cls, configuration: Configuration) -> Self:
        """
        Raises:
            ServiceError: the engine is not installed.
        """
        settings = configuration.settings
        launcher, estimator = ForkserverLauncher(settings), FootprintEstimator(settings)
        manager = ModelManager(configuration.registry, settings, launcher, estimator)
        tracer = tracer_for(os.environ)
        app = create_app(
            manager,
            settings,
            read_catalogue=partial(read_catalogue, configuration.path, configuration.command_line, settings),
            tracer=tracer,
        )
        return cls(app, manager, configuration, tracer)

    async def run(self, sockets: list[socket.socket], occasions: Occasions) -> None:
        """Serve until SIGTERM or SIGINT; streams then have `shutdown_grace_s` to finish. A second signal cuts them off,
        as SIGQUIT does at once. SIGHUP has the registry's file read again."""
        services: Services = self.app.state.services
        settings = self.configuration.settings
        server = GatewayServer(
            uvicorn_config(self.app, settings),
            on_started=occasions.started or _nothing,
            drain=partial(drain, services.drain, self.manager, settings.shutdown_grace_s),
        )
        # A full collection looks at all that was imported, which is here to stay: 40 ms in which no stream goes on.
        gc.collect()
        gc.freeze()
        chores = self._chores(services, occasions)
        self._handle_signals(server, services, chores)
        try:
            await server.serve(sockets=sockets)
        finally:
            for chore in chores:
                chore.cancel()
            await asyncio.gather(*chores, return_exceptions=True)
            await self.manager.close()
            logger.info("stopped")

    def close(self) -> None:
        """Send what is left of the traces. Blocks; no loop has to run."""
        if self.tracer is not None:
            self.tracer.close()

    def _chores(self, services: Services, occasions: Occasions) -> set[asyncio.Task[None]]:
        """All that goes on beside the requests."""
        chores = []
        if self.configuration.settings.watch_config:
            reload_and_log = partial(services.reloader.reload_and_log, "file_changed")
            chores.append(watch(self.configuration.file, reload_and_log))
        if occasions.ready is not None:
            chores.append(_after(services.started, occasions.ready))
        if occasions.stopping is not None:
            chores.append(_after(services.drain.begun, occasions.stopping))
        if occasions.beat is not None:
            chores.append(keep_beating(occasions.beat, occasions.beat_every_s))
        return {asyncio.create_task(chore) for chore in chores}

    def _handle_signals(self, server: GatewayServer, services: Services, chores: set[asyncio.Task[None]]) -> None:
        loop = asyncio.get_running_loop()

        def reload_soon() -> None:
            task = loop.create_task(services.reloader.reload_and_log("SIGHUP"))
            chores.add(task)
            task.add_done_callback(chores.discard)

        for signal_number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signal_number, server.stop)
        loop.add_signal_handler(signal.SIGQUIT, server.stop_at_once)
        loop.add_signal_handler(signal.SIGHUP, reload_soon)


def _nothing() -> None:
    """Nobody wants to be told."""


async def _after(event: asyncio.Event, tell: Callable[[], None]) -> None:
    await event.wait()
    tell()


async def keep_beating(beat: Callable[[], Awaitable[None]], every_s: float) -> None:
    """Until it is cancelled."""
    while True:
        await beat()
        await asyncio.sleep(every_s)
