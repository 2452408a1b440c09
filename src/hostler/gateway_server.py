"""uvicorn as this server wants it: it drains before it stops, and trusts nobody by itself."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Coroutine, Generator
from typing import Any

import uvicorn

from hostler.config import Settings
from hostler.lifecycle.manager import ModelManager
from hostler.open_files import allow_open_files
from hostler.server.connection import connection_class
from hostler.server.draining import Drain

logger = logging.getLogger(__name__)

_OTHER_FILES = 256
"""That a gateway has open beside its connections: sockets of workers, files, connections that are refused."""
_LAST_BYTES_S = 5
"""For clients to take what was written to them when the drain ended."""


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

    def stop_at_once(self) -> None:
        """Accept nothing new and end streams. Needs a running loop."""
        self._hurry.set()
        self.stop()

    async def _leave(self) -> None:
        try:
            await self._drain(self._hurry)
        finally:
            self.should_exit = True


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


def uvicorn_config(app: Any, settings: Settings) -> uvicorn.Config:
    """What uvicorn says and trusts by itself is left to us."""
    return uvicorn.Config(
        app,
        http=connection_class(_within_open_files(settings)),
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


def _within_open_files(settings: Settings) -> Settings:
    """Accept no more connections than there may be: a listener that cannot accept is not told so, but tries again."""
    num_files = allow_open_files(settings.max_connections + _OTHER_FILES)
    if num_files is None or num_files >= settings.max_connections + _OTHER_FILES:
        return settings
    max_connections = max(1, num_files - _OTHER_FILES)
    logger.warning(
        "connections_bounded_by_open_files max_connections=%d wanted=%d",
        *(max_connections, settings.max_connections),
    )
    return settings.model_copy(update={"max_connections": max_connections})


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """For `asyncio.Runner`."""
    try:
        import uvloop
    except ImportError:  # not made for Windows
        return asyncio.new_event_loop
    return uvloop.new_event_loop
