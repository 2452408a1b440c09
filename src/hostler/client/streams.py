"""Answers that come piece by piece, as server-sent events."""

from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Generic

import httpx2
import msgspec

from hostler.client.calls import Answer, read_answer, read_error
from hostler.client.line_streams import AsyncLineStream, LineStream
from hostler.errors import ServiceError
from hostler.protocol.native_answers import StreamedText


class EventReader(Generic[Answer]):
    """Understands the lines of one streamed answer; knows nothing of the network."""

    def __init__(self, answer_type: type[Answer]) -> None:
        self._answer_type = answer_type
        self.answer: Answer | None = None
        """The whole answer, once its event has come."""

    def read(self, line: str) -> StreamedText | None:
        """The piece of text in a line; `None` when there is none in it.

        Raises:
            HostlerError: the server failed on the way.
        """
        data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
        if data in ("", "[DONE]"):
            return None
        content = data.encode()
        keys = read_answer(content, dict[str, msgspec.Raw])
        if "detail" in keys:
            raise read_error(500, content)
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


class AnswerStream(LineStream[StreamedText], Generic[Answer]):
    """Iterate over it for the text as it comes; `answer` is the whole of it afterwards.

    A loop that is left early is to be followed by `close`, or stand in a `with`: that ends the generation.
    """

    def __init__(
        self, opening: AbstractContextManager[httpx2.Response], base_url: str, answer_type: type[Answer]
    ) -> None:
        self._reader = EventReader(answer_type)
        super().__init__(opening, base_url, self._reader.read)

    @property
    def answer(self) -> Answer:
        return self._reader.whole()


class AsyncAnswerStream(AsyncLineStream[StreamedText], Generic[Answer]):
    """`AnswerStream` for `async for` and `async with`."""

    def __init__(
        self, opening: AbstractAsyncContextManager[httpx2.Response], base_url: str, answer_type: type[Answer]
    ) -> None:
        self._reader = EventReader(answer_type)
        super().__init__(opening, base_url, self._reader.read)

    @property
    def answer(self) -> Answer:
        return self._reader.whole()
