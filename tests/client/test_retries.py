"""Which requests are sent again, and when."""

from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostler.client import AsyncHostler, Hostler, ServerConnectionError, ServerTimeoutError, ServerUnreachableError
from hostler.client.answers import read_error
from hostler.client.retries import SPREAD, Failure, Retries
from hostler.errors import EngineDeadError, HostlerError, QueueFullError, ServiceError
from hostler.testing import FakeServer
from tests.client.conftest import Either, pieces_of

RETRIES = Retries(max_retries=2, max_wait_s=60, backoff_s=1)


def answered(status: int, retry_after: str | None = None) -> HostlerError:
    return read_error(status, b"", {} if retry_after is None else {"retry-after": retry_after})


@pytest.mark.parametrize("failure", [answered(429), answered(429, "3"), answered(503, "3"), ServerUnreachableError()])
def test_what_was_turned_away_for_now_is_sent_again(failure: Failure) -> None:
    assert RETRIES.wait_s(failure, 0, 0.5) is not None


@pytest.mark.parametrize(
    "failure",
    [
        *(answered(status, "3") for status in (400, 401, 404, 500, 502, 504)),
        answered(503),
        ServerConnectionError("it broke"),
        ServerTimeoutError("too slow"),
        read_error(None, b'{"code": "engine_dead"}'),
    ],
)
def test_what_may_have_had_an_effect_or_cannot_do_better_is_not(failure: Failure) -> None:
    assert RETRIES.wait_s(failure, 0, 0.5) is None


@given(
    asked_s=st.none() | st.floats(0, 1000),
    num_retries=st.integers(0, 30),
    draw=st.floats(0, 1),
    retries=st.builds(Retries, st.integers(0, 20), st.floats(0, 100), st.floats(0, 10)),
)
def test_a_wait_is_bounded_and_never_shorter_than_asked(
    asked_s: float | None, num_retries: int, draw: float, retries: Retries
) -> None:
    failure = answered(429)
    failure.retry_after_s = asked_s
    wait_s = retries.wait_s(failure, num_retries, draw)
    if num_retries >= retries.max_retries or (asked_s is not None and asked_s > retries.max_wait_s):
        assert wait_s is None
    elif asked_s is None:
        assert wait_s is not None
        assert 0 <= wait_s <= retries.max_wait_s
    else:
        assert wait_s is not None
        assert asked_s <= wait_s <= asked_s * (1 + SPREAD)


def test_waits_double_and_are_spread() -> None:
    assert [RETRIES.wait_s(answered(429), num_retries, 1) for num_retries in range(2)] == [1, 2]
    assert RETRIES.wait_s(answered(429), 0, 0) == 0.5


class Turns:
    """Answers with one status after the other, then with 200."""

    def __init__(self, *statuses: int) -> None:
        self.left = list(statuses)
        self.num_asked = 0

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.num_asked += 1
        if not self.left:
            return httpx2.Response(200, json={"status": "healthy"})
        if (status := self.left.pop(0)) == 0:
            raise httpx2.ConnectError("refused")
        return httpx2.Response(status, headers={"retry-after": "0"}, json={"detail": "no", "code": "queue_full"})


def client_of(kind: type[Hostler] | type[AsyncHostler], turns: Turns, **options: Any) -> Either:
    transport: Any = httpx2.MockTransport(turns)
    return Either(kind("http://server", transport=transport, retry_backoff_s=0, **options))


async def test_both_clients_send_it_again_and_say_so(
    kind: type[Hostler] | type[AsyncHostler], caplog: pytest.LogCaptureFixture
) -> None:
    turns = Turns(429, 0)
    with caplog.at_level("INFO", "hostler.client"):
        assert await client_of(kind, turns).ask("health") == {"status": "healthy"}
    assert turns.num_asked == 3
    told = [record.getMessage() for record in caplog.records if record.name.startswith("hostler.client")]
    assert told == [
        "request_repeated in_s=0.0 error='no'",
        "request_repeated in_s=0.0 error=\"no server answers at http://server: start it with 'hostler serve'\"",
    ]


async def test_the_last_error_is_raised_when_the_tries_are_over(kind: type[Hostler] | type[AsyncHostler]) -> None:
    turns = Turns(503, 503, 429, 429)
    with pytest.raises(QueueFullError) as caught:
        await client_of(kind, turns, max_retries=2).ask("health")
    assert (turns.num_asked, caught.value.status) == (3, 429)


@pytest.mark.parametrize("status", [429, 0])
async def test_nothing_is_sent_again_with_no_retries(kind: type[Hostler] | type[AsyncHostler], status: int) -> None:
    turns = Turns(status)
    with pytest.raises((HostlerError, ServerConnectionError)):
        await client_of(kind, turns, max_retries=0).ask("health")
    assert turns.num_asked == 1


async def test_a_longer_wait_than_is_allowed_is_raised_at_once(kind: type[Hostler] | type[AsyncHostler]) -> None:
    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(503, headers={"retry-after": "61"}, json={"detail": "later", "code": "server_error"})

    transport: Any = httpx2.MockTransport(answer)
    with pytest.raises(ServiceError) as caught:
        await Either(kind("http://server", transport=transport)).ask("health")
    assert caught.value.retry_after_s == 61


async def test_a_stream_that_was_refused_is_asked_for_again_and_one_that_began_is_not(
    kind: type[Hostler] | type[AsyncHostler], server: FakeServer
) -> None:
    either = Either(kind(server.url, retry_backoff_s=0))
    server.fail(QueueFullError("full"))
    server.fail_after("fake-text", 1, EngineDeadError("it died"))
    stream = either.client.stream("Hi", model="fake-text")
    with pytest.raises(EngineDeadError, match="it died") as caught:
        await pieces_of(stream)
    assert len(server.requests) == 2
    assert caught.value.status is None
    assert caught.value.request_id
    await either.close()
