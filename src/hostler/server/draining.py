"""How the server leaves: nothing new is taken, what runs is counted, and what never ends by itself is told."""

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send

from hostler.lifecycle import refusals
from hostler.server.errors import error_response

_STILL_ANSWERED = frozenset(("/health", "/health/live", "/health/ready"))


class Drain:
    """Whether the server is leaving, and how many requests still run. One per application."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        """Set for good once the server is to end. A response that never ends by itself waits for it, and ends."""
        self.idle = asyncio.Event()
        """Set while no request runs."""
        self.idle.set()
        self._num_running = 0

    @property
    def is_begun(self) -> bool:
        return self.begun.is_set()

    @property
    def num_running(self) -> int:
        """Requests whose answer is not complete."""
        return self._num_running

    def enter(self) -> None:
        self._num_running += 1
        self.idle.clear()

    def leave(self) -> None:
        self._num_running -= 1
        if self._num_running == 0:
            self.idle.set()


class DrainGate:
    """ASGI middleware: counts requests, and refuses new ones once the drain has begun, all but the health checks."""

    def __init__(self, app: ASGIApp, drain: Drain) -> None:
        self._app = app
        self._drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._drain.is_begun and scope["path"].removeprefix(scope.get("root_path", "")) not in _STILL_ANSWERED:
            response = error_response(refusals.shutting_down(), scope)
            # The next request of this client is for another server, or for the one that comes after this.
            response.headers["connection"] = "close"
            await response(scope, receive, send)
            return
        self._drain.enter()
        try:
            await self._app(scope, receive, send)
        finally:
            self._drain.leave()
