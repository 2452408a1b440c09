"""The order of those that wait."""

from hostler.engine.fair_queue import MAX_COUNTED_OUTPUT, MAX_REMEMBERED, FairQueue
from hostler.engine.request import Request, RequestStatus
from hostler.types import Caller
from tests.engine.test_scheduler import make_request


def queued(queue: FairQueue, caller: Caller, arrival: int, max_tokens: int = 8, priority: int = 0) -> Request:
    request = make_request(2, max_tokens, arrival, priority)
    request.caller, request.arrival = caller, arrival
    queue.add(request)
    return request


def order_of(queue: FairQueue) -> list[int]:
    """Takes all out."""
    order = []
    while queue:
        head = queue.peek(None)
        queue.begin(head)
        order.append(head.arrival)
    return order


A, B = Caller(id="a"), Caller(id="b")


def test_callers_take_turns_and_each_has_its_own_order() -> None:
    queue = FairQueue()
    for arrival in range(4):
        queued(queue, A, arrival)
    for arrival in range(4, 7):
        queued(queue, B, arrival, priority=4 - arrival)
    assert order_of(queue) == [0, 6, 1, 5, 2, 4, 3]


def test_one_caller_alone_is_served_by_priority_and_arrival() -> None:
    queue = FairQueue()
    for arrival, priority in enumerate([0, 5, -3, 0]):
        queued(queue, A, arrival, priority=priority)
    assert order_of(queue) == [2, 0, 3, 1]


def test_a_weight_is_worth_as_many_turns() -> None:
    queue = FairQueue()
    heavy = Caller(id="heavy", weight=3.0)
    for arrival in range(9):
        queued(queue, heavy, arrival)
    for arrival in range(9, 12):
        queued(queue, A, arrival)
    order = order_of(queue)
    assert [sum(arrival >= 9 for arrival in order[first : first + 4]) for first in (0, 4, 8)] == [1, 1, 1]


def test_who_names_no_bound_for_its_answers_is_not_set_back_for_it() -> None:
    queue = FairQueue()
    for arrival in range(3):
        queued(queue, A, arrival, max_tokens=100_000)
    for arrival in range(3, 6):
        queued(queue, B, arrival, max_tokens=MAX_COUNTED_OUTPUT)
    assert order_of(queue) == [0, 3, 1, 4, 2, 5]


def test_one_that_was_set_back_is_not_charged_again() -> None:
    queue = FairQueue()
    first = queued(queue, A, 0)
    queue.begin(first)
    first.status = RequestStatus.PREEMPTED
    queue.add(first)
    queued(queue, A, 1)
    queued(queue, B, 2)
    assert order_of(queue) == [0, 2, 1]


def test_one_that_leaves_is_gone_wherever_it_stood() -> None:
    queue = FairQueue()
    requests = [queued(queue, caller, arrival) for arrival, caller in enumerate([A, A, B, A])]
    queue.remove(requests[1])
    queue.remove(requests[2])
    assert queue.callers == {"a"}
    assert len(queue) == 2
    assert requests[1] not in queue
    assert requests[3] in queue
    assert order_of(queue) == [0, 3]


def test_callers_without_end_are_not_all_remembered_and_keep_nobody_waiting_for_ever() -> None:
    queue = FairQueue()
    queue.begin(queued(queue, A, 0))
    waiting = queued(queue, A, 1)
    begun = []
    for arrival in range(2, 2 * MAX_REMEMBERED):
        queued(queue, Caller(id=f"stranger {arrival}"), arrival)
        begun.append(queue.peek(None))
        queue.begin(begun[-1])
        assert len(queue._tags) <= MAX_REMEMBERED
    assert waiting in begun


def test_with_nothing_left_to_do_all_begin_anew() -> None:
    queue = FairQueue()
    queue.begin(queued(queue, A, 0))
    queue.begin_anew()
    queued(queue, A, 1)
    queued(queue, B, 2)
    assert order_of(queue) == [1, 2]
