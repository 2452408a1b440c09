"""Answers that come piece by piece, as server-sent events: what their lines say. Knows nothing of the network."""

from collections.abc import Callable
from typing import Generic

import msgspec

from hostler.client.answers import read_answer, read_error
from hostler.client.calls import Answer
from hostler.errors import ServiceError
from hostler.protocol.model_answers import ComparedAnswer, ComparedText
from hostler.protocol.native_answers import StreamedText
from hostler.protocol.stable_answers import ModelEvent

_DONE = b"[DONE]"
OnWait = Callable[[str], None]
"""Called with a line such as `loading 43% eta=6s` whenever the server says what an answer waits for."""


class AnswerReader(Generic[Answer]):
    """Understands the lines of one streamed answer."""

    def __init__(self, answer_type: type[Answer]) -> None:
        self._answer_type = answer_type
        self.answer: Answer | None = None
        """The whole answer, once its event has come."""

    def read(self, line: str) -> StreamedText | None:
        """The piece of text in a line; `None` when there is none in it.

        Raises:
            HostlerError: the server failed on the way.
        """
        content = _data_of(line)
        if content in (b"", _DONE):
            return None
        keys = read_answer(content, dict[str, msgspec.Raw])
        if "error" in keys:
            raise read_error(None, bytes(keys["error"]))
        if "text" in keys and "index" in keys:
            return read_answer(content, StreamedText)
        self.answer = read_answer(content, self._answer_type)
        return None

    def whole(self) -> Answer:
        """The whole answer.

        Raises:
            ServiceError: the stream ended without it, or has not been read to its end.
        """
        if self.answer is None:
            raise ServiceError("the stream has not come to its end: the whole answer is its last event")
        return self.answer


class ComparisonReader:
    """Understands the lines of a streamed comparison."""

    def __init__(self) -> None:
        self._answers: list[ComparedAnswer] = []
        self._is_complete = False

    def read(self, line: str) -> ComparedText | None:
        """The piece of one model's answer in a line; `None` when there is none in it."""
        content = _data_of(line)
        self._is_complete = self._is_complete or content == _DONE
        if content in (b"", _DONE):
            return None
        if "answer" in read_answer(content, dict[str, msgspec.Raw]):
            self._answers.append(read_answer(content, ComparedAnswer))
            return None
        return read_answer(content, ComparedText)

    def whole(self) -> list[ComparedAnswer]:
        """
        Raises:
            ServiceError: the stream has not come to its end.
        """
        if not self._is_complete:
            raise ServiceError("the stream has not come to its end: some of the models have not answered")
        return list(self._answers)


def wait_in(line: str) -> str:
    """What the answer waits for, where a line says so; else empty."""
    return line.removeprefix(":").strip() if line.startswith(":") else ""


def read_event(line: str) -> ModelEvent | None:
    """The event in a line; `None` for comments, and for fields that the data repeats."""
    content = _data_of(line)
    return read_answer(content, ModelEvent) if content else None


def _data_of(line: str) -> bytes:
    """Empty for comments, and for fields that the data repeats."""
    return line.removeprefix("data:").strip().encode() if line.startswith("data:") else b""
