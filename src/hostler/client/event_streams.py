"""What happens to the models of a server, as it happens."""

from contextlib import AbstractAsyncContextManager, AbstractContextManager

import httpx2

from hostler.client.calls import read_answer
from hostler.client.line_streams import AsyncLineStream, LineStream
from hostler.protocol.stable_answers import ModelEvent


class EventStream(LineStream[ModelEvent]):
    """Iterate over it for what happened and then for what happens; ends when the server does.

    A loop that is left early is to be followed by `close`, or stand in a `with`.
    """

    def __init__(self, opening: AbstractContextManager[httpx2.Response], base_url: str) -> None:
        super().__init__(opening, base_url, _read)


class AsyncEventStream(AsyncLineStream[ModelEvent]):
    """`EventStream` for `async for` and `async with`."""

    def __init__(self, opening: AbstractAsyncContextManager[httpx2.Response], base_url: str) -> None:
        super().__init__(opening, base_url, _read)


def _read(line: str) -> ModelEvent | None:
    """The event in a line; `None` for comments, and for fields that the data repeats."""
    return read_answer(line.removeprefix("data:").encode(), ModelEvent) if line.startswith("data:") else None
