"""A gateway over fake workers that listens on a port, and may end and come back on it."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Mapping
from typing import Any, Self

import uvicorn

from hostler.config import Settings
from hostler.lifecycle.manager import ModelManager
from hostler.memory import Estimate
from hostler.server.streaming import StreamTiming
from hostler.testing.worker import FakeLauncher
from tests.server.conftest import MODELS, make_app

TIMING = StreamTiming(progress_every_s=0.02, comment_every_s=0.02)
"""What is told while something lasts is told at once, so that no test has to wait for it."""


class _Server(uvicorn.Server):
    """Says when it listens, and leaves signals to the tests."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Gateway:
    """Leaving the `async with` ends it."""

    def __init__(
        self,
        *,
        models: dict[str, dict[str, Any]] = MODELS,
        estimates: Mapping[str, Estimate] | None = None,
        **settings: Any,
    ) -> None:
        self._models = models
        self._estimates = estimates
        self._settings = Settings(**settings)
        self._port = 0
        self.launcher = FakeLauncher()
        self.manager: ModelManager
        self._server: _Server
        self._serving: asyncio.Task[None]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """A new server, on the port of the one before, that knows nothing of it."""
        app, self.manager = make_app(
            self.launcher, self._settings, models=self._models, estimates=self._estimates, timing=TIMING
        )
        config = uvicorn.Config(
            app, host="127.0.0.1", port=self._port, log_config=None, lifespan="on", timeout_graceful_shutdown=0
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve())
        await self._server.is_listening.wait()
        self._port = self._server.servers[0].sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """At once: connections are cut."""
        self._cut_connections()
        self._server.should_exit = True
        await self._serving
        # A browser may have made one while the others were cut; the next server is in the same process.
        self._cut_connections()

    def _cut_connections(self) -> None:
        for connection in list(self._server.server_state.connections):
            if (transport := getattr(connection, "transport", None)) is not None:
                transport.abort()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if not self._serving.done():
            await self.stop()
