"""Streams of the dialects in which every event has a name, and whose last event is the end."""

from collections.abc import Iterable
from typing import Protocol

from starlette.types import Scope

from hostler.errors import HostlerError
from hostler.server.errors import translate
from hostler.server.generation import GenerationRun
from hostler.server.streaming import AnswerFormat, Event, GenerationResponse, StreamTiming, json_line


class NamedEventFormat(AnswerFormat, Protocol):
    """Its events name themselves, by the key `type`."""

    def failure(self, error: HostlerError) -> Iterable[Event]:
        """What a stream ends with that has sent its headers and then failed."""
        ...


class NamedEventResponse(GenerationResponse):
    """The same, in events of the form `event: …`, and without `[DONE]`."""

    _END = b""

    def __init__(
        self, run: GenerationRun, answer_format: NamedEventFormat, *, is_streamed: bool, timing: StreamTiming
    ) -> None:
        super().__init__(run, answer_format, is_streamed=is_streamed, timing=timing)
        self._named = answer_format

    def _encoded(self, events: Iterable[Event]) -> bytes:
        return b"".join(
            b"event: " + event["type"].encode() + b"\ndata: " + json_line(event) + b"\n\n" for event in events
        )

    def _failure(self, exc: Exception, scope: Scope) -> Iterable[Event]:
        error = translate(exc, scope)
        scope["state"]["error_code"] = error.code
        return self._named.failure(error)
