import pytest

from hostler.errors import HostlerError, QueueFullError
from hostler.lifecycle.answers import Answers


async def test_each_waiter_gets_its_own_answer_and_the_first_of_two() -> None:
    answers = Answers()
    with answers.awaited() as (one, first), answers.awaited() as (other, second):
        answers.give(other, "there")
        answers.give(one, "here")
        answers.give(one, "too late")
        assert (await first, await second) == ("here", "there")


async def test_waiters_that_are_refused_alike_raise_errors_of_their_own() -> None:
    answers = Answers()
    error = QueueFullError("too many wait", retry_after_s=1.0)
    with answers.awaited() as (one, first), answers.awaited() as (other, second):
        answers.refuse(one, error)
        answers.refuse(other, error)
        raised: list[HostlerError] = []
        for answer in (first, second):
            with pytest.raises(QueueFullError, match="too many wait") as caught:
                await answer
            raised.append(caught.value)
    assert len({id(error), *map(id, raised)}) == 3


async def test_an_answer_to_whoever_has_left_harms_nobody() -> None:
    answers = Answers()
    with answers.awaited() as (waiter_id, answer):
        answer.cancel()
        answers.give(waiter_id, "there")
        answers.refuse(waiter_id, QueueFullError("too many wait"))
        assert answer.cancelled()
