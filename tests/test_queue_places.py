"""Who may wait in a full queue."""

import pytest

from hostler.queue_places import has_place
from hostler.types import Caller

GREEDY, MODEST, HEAVY = Caller(id="greedy"), Caller(id="modest"), Caller(id="heavy", weight=3.0)


def test_a_caller_alone_has_all_places_and_no_more() -> None:
    assert has_place(GREEDY, [GREEDY] * 3, 4)
    assert not has_place(GREEDY, [GREEDY] * 4, 4)


@pytest.mark.parametrize("num_places", [1, 4, 2048])
def test_who_fills_a_queue_keeps_no_other_out(num_places: int) -> None:
    waiting = [GREEDY] * num_places
    assert has_place(MODEST, waiting, num_places)
    assert not has_place(GREEDY, [*waiting, MODEST], num_places)


def test_who_comes_later_has_its_share_by_weight() -> None:
    waiting = [GREEDY] * 8
    while has_place(HEAVY, waiting, 8):
        waiting.append(HEAVY)
    assert waiting.count(HEAVY) == 6
    while has_place(MODEST, waiting, 8):
        waiting.append(MODEST)
    assert waiting.count(MODEST) == 1


def test_a_queue_of_many_callers_stays_within_what_is_said() -> None:
    callers = [Caller(id=str(i)) for i in range(50)]
    waiting: list[Caller] = []
    for caller in callers:
        while has_place(caller, waiting, 100):
            waiting.append(caller)
    assert len(waiting) <= 100 * sum(1 / k for k in range(1, 51)) + 50
    assert {caller.id for caller in waiting} == {caller.id for caller in callers}
