"""Server-sent events as they come, a line at a time."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack, ExitStack
from typing import Generic, Self, TypeVar

import httpx2

from hostler.client.connection import connection_errors, raise_for_error

Piece = TypeVar("Piece")
Read = Callable[[str], Piece | None]
"""What a line says; `None` where that is nothing."""


class LineStream(Generic[Piece]):
    """Iterate over it for what the lines say.

    A loop that is left early is to be followed by `close`, or stand in a `with`: that hangs up.
    """

    def __init__(self, opening: AbstractContextManager[httpx2.Response], base_url: str, read: Read[Piece]) -> None:
        self._opening = opening
        self._base_url = base_url
        self._read = read
        self._open = ExitStack()

    def __iter__(self) -> Iterator[Piece]:
        with connection_errors(self._base_url), self._open:
            response = self._open.enter_context(self._opening)
            if response.is_error:
                response.read()
                raise_for_error(response)
            for line in response.iter_lines():
                if (piece := self._read(line)) is not None:
                    yield piece

    def close(self) -> None:
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncLineStream(Generic[Piece]):
    """`LineStream` for `async for` and `async with`."""

    def __init__(self, opening: AbstractAsyncContextManager[httpx2.Response], base_url: str, read: Read[Piece]) -> None:
        self._opening = opening
        self._base_url = base_url
        self._read = read
        self._open = AsyncExitStack()

    async def __aiter__(self) -> AsyncIterator[Piece]:
        with connection_errors(self._base_url):
            async with self._open:
                response = await self._open.enter_async_context(self._opening)
                if response.is_error:
                    await response.aread()
                    raise_for_error(response)
                async for line in response.aiter_lines():
                    if (piece := self._read(line)) is not None:
                        yield piece

    async def aclose(self) -> None:
        await self._open.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
