"""A connection that is cut when its other end does not do its part: sends no request, or takes no answer."""

import asyncio
from typing import ClassVar

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hostler.config import Settings
from hostler.errors import RequestTooLargeError
from hostler.server.errors import native_body

MAX_HEAD_BYTES = 64 * 1024
"""Of a request's line and headers. Each is held in memory before anything is known of the caller."""

_TOO_LARGE = RequestTooLargeError(f"the headers have more than {MAX_HEAD_BYTES} bytes, the most that this server takes")


class Connection(HttpToolsProtocol):
    """uvicorn's own bounds neither the size of a head nor any time but that between two requests.

    A timer runs from the first moment until a request is there, body included, and while the transport has more to send
    than it keeps. A reader that stops is noticed when the buffers in between are full, so that a short answer may end
    without it.
    """

    read_timeout_s: ClassVar[float]
    write_timeout_s: ClassVar[float]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._writing: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = self._cut_after(self.read_timeout_s)
        self._is_head_open = False
        self._num_head_bytes = 0
        self._is_refused = False

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_reading()
        self._stop_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        was_head_open = self._is_head_open
        super().data_received(data)
        # What opened the head came in one piece with it, and has at most what is read at once.
        if was_head_open and self._is_head_open and not self.transport.is_closing():
            self._num_head_bytes += len(data)
            if self._num_head_bytes > MAX_HEAD_BYTES:
                self._refuse_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_head_open = True
        self._num_head_bytes = 0
        self._stop_reading()
        self._reading = self._cut_after(self.read_timeout_s)

    def on_headers_complete(self) -> None:
        self._is_head_open = False
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD_BYTES:
            self._refuse_head()
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

    def _refuse_head(self) -> None:
        self._is_refused = True
        content = msgspec.json.encode(native_body(_TOO_LARGE))
        head = (
            "HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\n"
            f"content-length: {len(content)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + content)
        self.transport.close()


def connection_class(settings: Settings) -> type[Connection]:
    """For `uvicorn.Config`."""
    times = {"read_timeout_s": settings.read_timeout_s, "write_timeout_s": settings.write_timeout_s}
    return type("BoundedConnection", (Connection,), times)
