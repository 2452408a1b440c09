"""The response that owns a generation: whatever ends it, the work is aborted and the lease released."""

import asyncio
import re
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hostler.errors import HostlerError
from hostler.protocol.native_answers import StreamedError
from hostler.server.answer import Answer
from hostler.server.connected import cancel, while_connected
from hostler.server.errors import is_openai, native_body, openai_body, translate
from hostler.server.generation import GenerationRun
from hostler.types import TokenDelta

Event = Any
"""What becomes the JSON of one server-sent event."""

_LINE_ENDS = re.compile("\x85|\u2028|\u2029".encode())


class AnswerFormat(Protocol):
    """How one route spells an answer."""

    def whole(self, answer: Answer) -> Event:
        """The body of an answer that is not streamed."""
        ...

    def opening(self, answer: Answer) -> Iterable[Event]:
        """What a stream begins with."""
        ...

    def delta(self, answer: Answer, prompt_index: int, delta: TokenDelta) -> Iterable[Event]: ...

    def closing(self, answer: Answer) -> Iterable[Event]:
        """What a complete stream ends with, before `[DONE]`."""
        ...


@dataclass(frozen=True)
class StreamTiming:
    """How long a client waits for a sign of life."""

    headers_after_s: float = 5.0
    """A stream that has to wait longer for its model gets its headers, and errors from then on come inside it."""
    comment_every_s: float = 5.0
    """Between the comments that such a stream is kept alive with."""
    keep_alive_every_s: float = 15.0
    """The same, for a stream of events."""
    progress_every_s: float = 0.5
    """Between two reports of how far a load has come, in a stream of events."""
    deep_check_s: float = 30.0
    """Within which a model has to answer one token."""


class GenerationResponse(Response):
    """Runs a generation and sends its answer.

    The lease is acquired in here and let go of in here, in one `finally`: a generator's `finally` would not run when
    the client is gone before the first event. A client that hangs up is noticed at every moment, since the work races
    the disconnect message.
    """

    _END = b"data: [DONE]\n\n"
    """What every stream ends with, also one that failed."""

    def __init__(
        self, run: GenerationRun, answer_format: AnswerFormat, *, is_streamed: bool, timing: StreamTiming
    ) -> None:
        super().__init__()
        self._run = run
        self._format = answer_format
        self._is_streamed = is_streamed
        self._timing = timing
        self._unsent = b""
        """Events that go out with the next ones: each write costs as much as its events."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["generations"] = [self._run]
        answer = self._stream if self._is_streamed else self._answer_whole
        try:
            await while_connected(receive, answer(scope, receive, send))
        finally:
            self._run.close()

    async def _answer_whole(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._run.open()
        async with aclosing(self._run.batches(answer)) as batches:
            async for _ in batches:
                pass
        # Released before the last byte is sent: a client that has its answer finds the model idle.
        self._run.close()
        body = msgspec.json.encode(self._format.whole(answer))
        await Response(body, media_type="application/json")(scope, receive, send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        opening = asyncio.create_task(self._run.open())
        try:
            await asyncio.wait((opening,), timeout=self._timing.headers_after_s)
            if opening.done():
                opening.result()  # raises what is still a plain HTTP error
            await send_headers(send)
            try:
                await self._send_events(opening, send)
            except Exception as exc:
                self._unsent += self._encoded(self._failure(exc, scope))
            self._run.close()
            await send_body(send, self._unsent + self._END, more_body=False)
        finally:
            await cancel(opening)

    async def _send_events(self, opening: asyncio.Task[Answer], send: Send) -> None:
        while not opening.done():
            await send_body(send, f": {self._run.describe_wait()}\n\n".encode())
            await asyncio.wait((opening,), timeout=self._timing.comment_every_s)
        answer = opening.result()
        if opening_events := self._encoded(self._format.opening(answer)):
            await send_body(send, opening_events)
        async with aclosing(self._run.batches(answer)) as batches:
            async for prompt_index, deltas in batches:
                self._unsent += self._encoded(
                    event for delta in deltas for event in self._format.delta(answer, prompt_index, delta)
                )
                if self._unsent and not answer.has_ended:
                    content, self._unsent = self._unsent, b""
                    await send_body(send, content)
        self._unsent += self._encoded(self._format.closing(answer))

    def _encoded(self, events: Iterable[Event]) -> bytes:
        return encoded(events)

    def _failure(self, exc: Exception, scope: Scope) -> Iterable[Event]:
        """What a stream that fails after its headers says of it."""
        return [_error_event(exc, scope)]


async def send_headers(send: Send) -> None:
    headers = [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def send_data(send: Send, events: Iterable[Event]) -> None:
    if content := encoded(events):
        await send_body(send, content)


def encoded(events: Iterable[Event]) -> bytes:
    """Server-sent events without names."""
    return b"".join(b"data: " + json_line(event) + b"\n\n" for event in events)


def json_line(event: Event) -> bytes:
    """JSON that is one line for everybody: where clients split streams at all line ends that Unicode knows, as `httpx`
    and other readers of lines do, those that JSON leaves as they are would cut an event in two."""
    line = msgspec.json.encode(event)
    return line if line.isascii() else _LINE_ENDS.sub(_escaped, line)


def _escaped(line_end: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(line_end[0].decode())


async def send_body(send: Send, content: bytes, *, more_body: bool = True) -> None:
    await send({"type": "http.response.body", "body": content, "more_body": more_body})


def _error_event(exc: Exception, scope: Scope) -> Event:
    error: HostlerError = translate(exc, scope)
    scope["state"]["error_code"] = error.code
    return openai_body(error) if is_openai(scope) else StreamedError(error=native_body(error))
