"""One thread's time is shared by those who want it."""

import threading
from queue import Queue

from hostler.types import Caller
from hostler.worker.caller_turns import CallerTurns

ONE, OTHER, HEAVY = Caller(id="one"), Caller(id="other"), Caller(id="heavy", weight=2)


def served(turns: CallerTurns[Caller], num: int, seconds: dict[str, float]) -> list[str]:
    """Whose items come next, where each takes so long as its caller's do."""
    order = []
    for _ in range(num):
        caller = turns.get()
        turns.charge(caller, seconds[caller.id])
        order.append(caller.id)
    return order


def queue_of(*items: tuple[Caller, int]) -> CallerTurns[Caller]:
    turns: CallerTurns[Caller] = CallerTurns()
    for caller, num in items:
        for _ in range(num):
            turns.put(caller, caller)
    return turns


def test_one_of_another_comes_next_however_many_wait_before_it() -> None:
    turns = queue_of((ONE, 1000), (OTHER, 1))
    assert served(turns, 2, {"one": 1.0, "other": 0.01}) == ["one", "other"]


def test_time_is_shared_rather_than_turns() -> None:
    turns = queue_of((ONE, 100), (OTHER, 100))
    order = served(turns, 60, {"one": 1.0, "other": 0.25})
    assert order.count("one") == 12
    assert order.count("other") == 48


def test_a_weight_is_worth_as_much_time() -> None:
    turns = queue_of((ONE, 100), (HEAVY, 100))
    order = served(turns, 90, {"one": 1.0, "heavy": 1.0})
    assert order.count("heavy") == 60


def test_items_of_one_caller_keep_their_order() -> None:
    turns: CallerTurns[int] = CallerTurns()
    for i in range(5):
        turns.put(ONE, i)
    assert [turns.get() for _ in range(5)] == [0, 1, 2, 3, 4]


def test_who_was_served_while_nobody_waited_is_not_set_back_for_it() -> None:
    turns = queue_of((ONE, 1))
    served(turns, 1, {"one": 100.0})
    for caller in (ONE, OTHER):
        turns.put(caller, caller)
    assert turns.get() is ONE


def test_who_waits_for_an_item_has_it_when_it_is_put() -> None:
    turns: CallerTurns[int] = CallerTurns()
    got: Queue[int] = Queue()
    thread = threading.Thread(target=lambda: got.put(turns.get()), daemon=True)
    thread.start()
    turns.put(ONE, 7)
    assert got.get(timeout=30) == 7
