# Made by tools/blocking_client.py from asynchronous/streams.py: change that one and run it again.
"""Answers that come piece by piece.

The request is sent when the iteration begins. A loop that is left early is to be followed by `close`, or stand in a
`with`: that hangs up, and so ends what the server still computes.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Generic, Self, TypeVar

from hostler.client.blocking.transport import Transport
from hostler.client.calls import Answer, Call
from hostler.client.streams import AnswerReader, ComparisonReader, OnWait, read_event, wait_in
from hostler.client.transcript import Transcript, Turn
from hostler.errors import HostlerError
from hostler.protocol.model_answers import CompareAnswer, ComparedAnswer, ComparedText
from hostler.protocol.native_answers import ChatAnswer, StreamedText
from hostler.protocol.stable_answers import EventsPage, ModelEvent

Piece = TypeVar("Piece")
Whole = TypeVar("Whole")


class LineStream(Generic[Piece]):
    """Iterate over it for what the lines of an answer say."""

    def __init__(self, transport: Transport, call: Call[Whole], read: Callable[[str], Piece | None]) -> None:
        """`read`: what a line says; `None` where that is nothing."""
        self.on_wait: OnWait | None = None
        """`None`: nobody is told."""
        self._opening = transport.open(call)
        self._read = read
        self._open = ExitStack()

    def __iter__(self) -> Iterator[Piece]:
        with self._open:
            response = self._open.enter_context(self._opening)
            try:
                for line in response.iter_lines():
                    if self.on_wait is not None and (wait := wait_in(line)):
                        self.on_wait(wait)
                    if (piece := self._read(line)) is not None:
                        yield piece
            except HostlerError as error:
                error.request_id = response.headers.get("x-request-id")
                raise

    def close(self) -> None:
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AnswerStream(LineStream[StreamedText], Generic[Answer]):
    """Iterate over it for the text as it comes; `answer` is the whole of it afterwards."""

    def __init__(self, transport: Transport, call: Call[Answer]) -> None:
        self._reader = AnswerReader(call.answer_type)
        super().__init__(transport, call.streamed(), self._reader.read)

    @property
    def answer(self) -> Answer:
        return self._reader.whole()


class SpokenStream(AnswerStream[ChatAnswer]):
    """The answer to a message of a conversation. What has come of it is in the conversation at any time."""

    def __init__(self, transport: Transport, call: Call[ChatAnswer], transcript: Transcript, asked: list[Turn]) -> None:
        """`asked`: the turns up to the message that is answered."""
        super().__init__(transport, call)
        self._transcript = transcript
        self._asked = asked

    def __iter__(self) -> Iterator[StreamedText]:
        said = ""
        for piece in super().__iter__():
            said += piece["text"]
            self._keep(said)
            yield piece
        self._keep(said)

    def _keep(self, said: str) -> None:
        self._transcript.turns = [*self._asked, {"role": "assistant", "content": said}]


class ComparisonStream(LineStream[ComparedText]):
    """Iterate over it for the text of all models as it comes; `answers` are the whole of it afterwards."""

    def __init__(self, transport: Transport, call: Call[CompareAnswer]) -> None:
        self._reader = ComparisonReader()
        super().__init__(transport, call.streamed(), self._reader.read)

    @property
    def answers(self) -> list[ComparedAnswer]:
        """In the order in which the models ended."""
        return self._reader.whole()


class EventStream(LineStream[ModelEvent]):
    """Iterate over it for what happened and then for what happens; ends when the server does."""

    def __init__(self, transport: Transport, call: Call[EventsPage]) -> None:
        super().__init__(transport, call, read_event)
