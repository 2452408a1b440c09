"""What happens to the models of a server, as it happens."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack, ExitStack
from typing import Self

import httpx2

from hostler.client.calls import read_answer
from hostler.client.connection import connection_errors, raise_for_error
from hostler.protocol.stable_answers import ModelEvent


class EventStream:
    """Iterate over it for what happened and then for what happens; ends when the server does.

    A loop that is left early is to be followed by `close`, or stand in a `with`.
    """

    def __init__(self, opening: AbstractContextManager[httpx2.Response], base_url: str) -> None:
        self._opening = opening
        self._base_url = base_url
        self._open = ExitStack()

    def __iter__(self) -> Iterator[ModelEvent]:
        with connection_errors(self._base_url), self._open:
            response = self._open.enter_context(self._opening)
            if response.is_error:
                response.read()
                raise_for_error(response)
            for line in response.iter_lines():
                if (event := _read(line)) is not None:
                    yield event

    def close(self) -> None:
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncEventStream:
    """`EventStream` for `async for` and `async with`."""

    def __init__(self, opening: AbstractAsyncContextManager[httpx2.Response], base_url: str) -> None:
        self._opening = opening
        self._base_url = base_url
        self._open = AsyncExitStack()

    async def __aiter__(self) -> AsyncIterator[ModelEvent]:
        with connection_errors(self._base_url):
            async with self._open:
                response = await self._open.enter_async_context(self._opening)
                if response.is_error:
                    await response.aread()
                    raise_for_error(response)
                async for line in response.aiter_lines():
                    if (event := _read(line)) is not None:
                        yield event

    async def aclose(self) -> None:
        await self._open.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _read(line: str) -> ModelEvent | None:
    """The event in a line; `None` for comments, and for fields that the data repeats."""
    return read_answer(line.removeprefix("data:").encode(), ModelEvent) if line.startswith("data:") else None
