"""A connection that is cut when its other end does not do its part, and refused where there are too many."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import ClassVar

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hostler.config import Settings
from hostler.errors import HostlerError, RateLimitError, RequestTooLargeError
from hostler.server.errors import native_body
from hostler.server.open_connections import OpenConnections

MAX_HEAD_BYTES = 64 * 1024
"""Of a request's line and headers. Each is held in memory before anything is known of the caller."""

REFUSAL_S = 1.0
"""For one connection too many to send what it wants, so that it can be told."""

_HEAD_TOO_LARGE = (
    "431 Request Header Fields Too Large",
    RequestTooLargeError(f"the headers have more than {MAX_HEAD_BYTES} bytes, the most that this server takes"),
)


class Connection(HttpToolsProtocol):
    """uvicorn's own bounds neither the size of a head nor any time but that between two requests, and counts only those
    connections that send requests.

    A timer runs from the first moment until a request is there, body included, and while the transport has more to send
    than it keeps. A reader that stops is noticed when the buffers in between are full, so that a short answer may end
    without it.
    """

    read_timeout_s: ClassVar[float]
    write_timeout_s: ClassVar[float]
    open_connections: ClassVar[OpenConnections]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._writing: asyncio.TimerHandle | None = None
        self._is_head_open = False
        self._num_head_bytes = 0
        self._is_refused = False
        """What comes is not read."""
        self._excess: RateLimitError | None = None
        """Why it is one too many, until it was told."""
        self._release: Callable[[], None] | None = self._enter()
        self._reading: asyncio.TimerHandle | None = self._cut_after(
            self.read_timeout_s if self._excess is None else min(REFUSAL_S, self.read_timeout_s)
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_reading()
        self._stop_writing()
        if self._release is not None:
            self._release()
            self._release = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._excess is not None:
            # Not before: what is closed with something unread in it is reset, and the answer lost.
            self._refuse("429 Too Many Requests", self._excess)
            self._excess = None
        if self._is_refused:
            return
        was_head_open = self._is_head_open
        super().data_received(data)
        # What opened the head came in one piece with it, and has at most what is read at once.
        if was_head_open and self._is_head_open and not self.transport.is_closing():
            self._num_head_bytes += len(data)
            if self._num_head_bytes > MAX_HEAD_BYTES:
                self._refuse(*_HEAD_TOO_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_head_open = True
        self._num_head_bytes = 0
        self._stop_reading()
        self._reading = self._cut_after(self.read_timeout_s)

    def on_headers_complete(self) -> None:
        self._is_head_open = False
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD_BYTES:
            self._refuse(*_HEAD_TOO_LARGE)
            return
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._stop_reading()
        if not self._is_refused:
            super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stop_writing()
        self._writing = self._cut_after(self.write_timeout_s)

    def resume_writing(self) -> None:
        self._stop_writing()
        super().resume_writing()

    def _cut_after(self, seconds: float) -> asyncio.TimerHandle:
        # Not closed: that would wait until all is sent that nobody takes.
        return self.loop.call_later(seconds, self.transport.abort)

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _stop_writing(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    def _enter(self) -> Callable[[], None] | None:
        """Take a place among the open connections; what gives it back."""
        host = self.client[0] if self.client is not None else ""
        try:
            self.open_connections.enter(host)
        except RateLimitError as exc:
            self._is_refused = True
            if not self.open_connections.begin_refusal():
                self.transport.abort()
                return None
            self._excess = exc
            return self.open_connections.end_refusal
        return partial(self.open_connections.leave, host)

    def _refuse(self, status: str, error: HostlerError) -> None:
        self._is_refused = True
        content = msgspec.json.encode(native_body(error))
        head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n"
        if error.retry_after_s is not None:
            head += f"retry-after: {error.retry_after_s:.0f}\r\n"
        self.transport.write(f"{head}connection: close\r\n\r\n".encode() + content)
        self.transport.close()


def connection_class(settings: Settings) -> type[Connection]:
    """For `uvicorn.Config`."""
    bounds = {
        "read_timeout_s": settings.read_timeout_s,
        "write_timeout_s": settings.write_timeout_s,
        "open_connections": OpenConnections(settings),
    }
    return type("BoundedConnection", (Connection,), bounds)
