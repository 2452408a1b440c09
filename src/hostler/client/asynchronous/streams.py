"""Answers that come piece by piece.

The request is sent when the iteration begins. A loop that is left early is to be followed by `aclose`, or stand in an
`async with`: that hangs up, and so ends what the server still computes.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Generic, Self, TypeVar

from hostler.client.asynchronous.transport import AsyncTransport
from hostler.client.calls import Answer, Call
from hostler.client.streams import AnswerReader, ComparisonReader, OnWait, read_event, wait_in
from hostler.client.transcript import Transcript, Turn
from hostler.errors import HostlerError
from hostler.protocol.model_answers import CompareAnswer, ComparedAnswer, ComparedText
from hostler.protocol.native_answers import ChatAnswer, StreamedText
from hostler.protocol.stable_answers import EventsPage, ModelEvent

Piece = TypeVar("Piece")
Whole = TypeVar("Whole")


class AsyncLineStream(Generic[Piece]):
    """Iterate over it for what the lines of an answer say."""

    def __init__(self, transport: AsyncTransport, call: Call[Whole], read: Callable[[str], Piece | None]) -> None:
        """`read`: what a line says; `None` where that is nothing."""
        self.on_wait: OnWait | None = None
        """`None`: nobody is told."""
        self._opening = transport.open(call)
        self._read = read
        self._open = AsyncExitStack()

    async def __aiter__(self) -> AsyncIterator[Piece]:
        async with self._open:
            response = await self._open.enter_async_context(self._opening)
            try:
                async for line in response.aiter_lines():
                    if self.on_wait is not None and (wait := wait_in(line)):
                        self.on_wait(wait)
                    if (piece := self._read(line)) is not None:
                        yield piece
            except HostlerError as error:
                error.request_id = response.headers.get("x-request-id")
                raise

    async def aclose(self) -> None:
        await self._open.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class AsyncAnswerStream(AsyncLineStream[StreamedText], Generic[Answer]):
    """Iterate over it for the text as it comes; `answer` is the whole of it afterwards."""

    def __init__(self, transport: AsyncTransport, call: Call[Answer]) -> None:
        self._reader = AnswerReader(call.answer_type)
        super().__init__(transport, call.streamed(), self._reader.read)

    @property
    def answer(self) -> Answer:
        return self._reader.whole()


class AsyncSpokenStream(AsyncAnswerStream[ChatAnswer]):
    """The answer to a message of a conversation. What has come of it is in the conversation at any time."""

    def __init__(
        self, transport: AsyncTransport, call: Call[ChatAnswer], transcript: Transcript, asked: list[Turn]
    ) -> None:
        """`asked`: the turns up to the message that is answered."""
        super().__init__(transport, call)
        self._transcript = transcript
        self._asked = asked

    async def __aiter__(self) -> AsyncIterator[StreamedText]:
        said = ""
        async for piece in super().__aiter__():
            said += piece["text"]
            self._keep(said)
            yield piece
        self._keep(said)

    def _keep(self, said: str) -> None:
        self._transcript.turns = [*self._asked, {"role": "assistant", "content": said}]


class AsyncComparisonStream(AsyncLineStream[ComparedText]):
    """Iterate over it for the text of all models as it comes; `answers` are the whole of it afterwards."""

    def __init__(self, transport: AsyncTransport, call: Call[CompareAnswer]) -> None:
        self._reader = ComparisonReader()
        super().__init__(transport, call.streamed(), self._reader.read)

    @property
    def answers(self) -> list[ComparedAnswer]:
        """In the order in which the models ended."""
        return self._reader.whole()


class AsyncEventStream(AsyncLineStream[ModelEvent]):
    """Iterate over it for what happened and then for what happens; ends when the server does."""

    def __init__(self, transport: AsyncTransport, call: Call[EventsPage]) -> None:
        super().__init__(transport, call, read_event)
