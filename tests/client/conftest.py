"""A fake server for all tests of the client, and either client by one name."""

import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from hostler.client import AsyncHostler, Hostler
from hostler.testing import FakeServer


class Either:
    """One of the two clients, spoken to in the same way."""

    def __init__(self, client: Hostler | AsyncHostler) -> None:
        self.client: Any = client

    async def ask(self, name: str, *args: object, **options: object) -> Any:
        """What a call of that name returns."""
        return await done(getattr(self.client, name)(*args, **options))

    async def close(self) -> None:
        await self.ask("close" if isinstance(self.client, Hostler) else "aclose")


async def done(result: Any) -> Any:
    """Of a call of either client."""
    return await result if inspect.isawaitable(result) else result


async def pieces_of(stream: Any) -> list[Any]:
    """All of a stream of either client."""
    return [piece async for piece in stream] if hasattr(stream, "__aiter__") else list(stream)


@pytest.fixture(scope="session")
def _fake_server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


@pytest.fixture
def server(_fake_server: FakeServer) -> FakeServer:
    _fake_server.reset()
    return _fake_server


@pytest.fixture(params=["blocking", "asynchronous"])
def kind(request: pytest.FixtureRequest) -> type[Hostler] | type[AsyncHostler]:
    return Hostler if request.param == "blocking" else AsyncHostler


@pytest.fixture
async def either(kind: type[Hostler] | type[AsyncHostler], server: FakeServer) -> AsyncIterator[Either]:
    """It does not send anything again."""
    either = Either(kind(server.url, max_retries=0))
    yield either
    await either.close()
