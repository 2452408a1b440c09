"""Every error of the server's table, as both clients raise it."""

import pytest

from hostler.errors import HostlerError
from hostler.server.errors import TABLE
from hostler.testing import FakeServer
from tests.client.conftest import Either, pieces_of

CLASSES = sorted(TABLE, key=lambda cls: cls.__name__)
SECONDS = 7.0


async def native(either: Either) -> None:
    await either.ask("generate", "Hi")


async def as_openai_has_it(either: Either) -> None:
    await either.ask("embed", ["Hi"], model="fake-embedding")


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
async def test_an_error_arrives_as_its_class_with_all_that_is_known_of_it(
    either: Either, server: FakeServer, cls: type[HostlerError]
) -> None:
    server.fail(cls("why", retry_after_s=SECONDS), num_requests=2)
    for ask in (native, as_openai_has_it):
        with pytest.raises(HostlerError) as caught:
            await ask(either)
        error = caught.value
        assert (type(error), error.message, error.status) == (cls, "why", TABLE[cls].status)
        assert (error.type, error.code, error.retry_after_s) == (cls.type, cls.code, SECONDS)
        assert error.request_id


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
async def test_an_error_inside_a_stream_arrives_as_its_class(
    either: Either, server: FakeServer, cls: type[HostlerError]
) -> None:
    server.fail_after("fake-text", 1, cls("why"))
    with pytest.raises(HostlerError) as caught:
        await pieces_of(either.client.stream("Hi", model="fake-text"))
    assert (type(caught.value), caught.value.message, caught.value.status) == (cls, "why", None)
    assert caught.value.request_id
