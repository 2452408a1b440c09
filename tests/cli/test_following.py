"""Events after the connection broke: none twice, none left out."""

from collections.abc import Iterator
from typing import cast

import pytest

from hostler.cli import following
from hostler.client import EventStream, ServerConnectionError, ServerUnreachableError
from hostler.errors import HostlerError, ServiceError
from hostler.protocol.stable_answers import ModelEvent


def event(number: int | None) -> ModelEvent:
    return {"number": number, "time": 0.0, "kind": "loaded", "model_id": "a", "text": "", "facts": {}}


class Stream:
    """Gives these, then breaks."""

    def __init__(self, *numbers: int | None, error: Exception | None = None) -> None:
        self._numbers = numbers
        self._error = error

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[ModelEvent]:
        yield from map(event, self._numbers)
        if self._error is not None:
            raise self._error


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    made: list[float] = []
    monkeypatch.setattr(following, "sleep", made.append)
    return made


def test_it_goes_on_behind_the_last_event_and_waits_longer_each_time(pauses: list[float]) -> None:
    gone = ServerUnreachableError("no server answers")
    streams = iter(
        [
            Stream(1, None, 2, error=ServerConnectionError("it broke")),
            Stream(error=gone),
            Stream(error=ServiceError("the server answered with status 502")),
            Stream(3),
            Stream(4),
        ]
    )
    asked: list[int] = []
    told: list[str] = []

    def connect(after: int) -> EventStream:
        asked.append(after)
        return cast(EventStream, next(streams))

    follow = following.follow(connect, told.append)
    assert [next(follow)["number"] for _ in range(5)] == [1, None, 2, 3, 4]
    assert asked == [0, 2, 2, 2, 3]
    assert pauses == [0.5, 1.0, 2.0, 0.5]
    assert told[0] == "it broke; trying again in 0.5 s"


@pytest.mark.parametrize("error", [ServerUnreachableError("no server answers"), ServiceError("status 502")])
def test_a_server_that_was_never_there_is_an_error(
    pauses: list[float], error: ServerUnreachableError | HostlerError
) -> None:
    stream = Stream(error=error)
    with pytest.raises(type(error)):
        next(following.follow(lambda _: cast(EventStream, stream), lambda _: None))
    assert pauses == []
