"""Asks one server over many connections, on each again as soon as it is answered, by a client that costs little.

What it costs shares the cores with the server: it writes requests that were made before, and looks at no more of an
answer than where it ends and how many events it has.
"""

import asyncio
import time
from dataclasses import dataclass

DRAIN_TIMEOUT_S = 30.0
_HEAD_END = b"\r\n\r\n"
_STREAM_END = b"\r\n0\r\n\r\n"


class LoadError(Exception):
    """An answer was not as expected; the message has its beginning."""


@dataclass(frozen=True)
class Target:
    """What is asked."""

    port: int
    request: bytes
    """Head and body."""


@dataclass(frozen=True)
class Load:
    """What came in a time."""

    seconds: float
    num_answers: int
    num_events: int
    """Server-sent events, also of answers that were not complete yet."""


async def load(target: Target, num_connections: int, seconds: float) -> Load:
    """Ask for so long; what has begun by then is read to its end and not counted.

    Raises:
        LoadError: an answer is no 200, or its connection broke.
    """
    loop = asyncio.get_running_loop()
    clients = [_Client(target.request) for _ in range(num_connections)]
    for client in clients:
        await loop.create_connection(lambda client=client: client, "127.0.0.1", target.port)  # type: ignore[misc]
    began = time.perf_counter()
    for client in clients:
        client.ask()
    await asyncio.wait([client.ended for client in clients], timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    took = time.perf_counter() - began
    counted = Load(took, sum(each.num_answers for each in clients), sum(each.num_events for each in clients))
    for client in clients:
        client.stop()
    async with asyncio.timeout(DRAIN_TIMEOUT_S):
        await asyncio.gather(*(client.ended for client in clients))
    return counted


class _Client(asyncio.Protocol):
    """One connection."""

    _transport: asyncio.Transport

    def __init__(self, request: bytes) -> None:
        self.num_answers = 0
        self.num_events = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Fails with what went wrong."""
        self._request = request
        self._is_stopping = False
        self._head = b""
        """What has come of an answer until its head is whole."""
        self._num_missing: int | None = None
        """Bytes of a whole answer that are still to come; `None`: it is a stream, or its head has not come."""
        self._tail = b""
        """Last bytes of a stream so far: what ends it, or one of its events, may come in two pieces."""

    def ask(self) -> None:
        self._head, self._num_missing, self._tail = b"", None, b""
        self._transport.write(self._request)

    def stop(self) -> None:
        """Ask for nothing more."""
        self._is_stopping = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's is no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(LoadError(f"the connection was closed ({exc}): {self._head[:300]!r}"))

    def data_received(self, data: bytes) -> None:
        if self._num_missing is not None:
            self._read_body(data)
        elif self._tail:
            self._read_stream(data)
        else:
            self._read_head(data)

    def _read_head(self, data: bytes) -> None:
        self._head += data
        end = self._head.find(_HEAD_END)
        if end < 0:
            return
        head, body = self._head[:end], self._head[end + len(_HEAD_END) :]
        if not head.startswith(b"HTTP/1.1 200"):
            self._fail(LoadError(repr(self._head[:500])))
            return
        found = head.find(b"content-length: ")
        if found < 0:
            self._tail = b"\r\n"
            self._read_stream(body)
        else:
            self._num_missing = int(head[found + 16 :].split(b"\r\n", 1)[0])
            self._read_body(body)

    def _read_body(self, data: bytes) -> None:
        assert self._num_missing is not None
        self._num_missing -= len(data)
        if self._num_missing <= 0:
            self._answered()

    def _read_stream(self, data: bytes) -> None:
        self.num_events += data.count(b"\n\n") + (self._tail[-1:] == b"\n" == data[:1])
        self._tail = (self._tail + data)[-len(_STREAM_END) :]
        if self._tail == _STREAM_END:
            self._answered()

    def _answered(self) -> None:
        self.num_answers += 1
        if self._is_stopping:
            self.ended.set_result(None)
            self._transport.close()
        else:
            self.ask()

    def _fail(self, error: LoadError) -> None:
        if not self.ended.done():
            self.ended.set_exception(error)
        self._transport.close()
