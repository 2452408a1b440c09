"""The bound of a worker's queue."""

import threading
from contextlib import suppress

import pytest

from hostler.errors import QueueFullError
from hostler.types import Caller
from hostler.worker.admission import MAX_RETRY_AFTER_S, MIN_RETRY_AFTER_S, AdmissionControl


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def refusal(admissions: AdmissionControl) -> QueueFullError:
    with pytest.raises(QueueFullError) as caught:
        admissions.enter(-1)
    return caught.value


def retry_after_s(admissions: AdmissionControl) -> float:
    error = refusal(admissions)
    assert error.retry_after_s is not None
    return error.retry_after_s


def test_one_too_many_is_refused_with_the_number_that_waits_and_the_setting() -> None:
    admissions = AdmissionControl(2)
    admissions.enter(1)
    admissions.enter(2)
    assert refusal(admissions).message == (
        "2 requests wait for this model already, as many as may (max_queued_requests)"
    )


def test_a_place_is_free_when_a_request_begins_or_ends_and_only_once() -> None:
    admissions = AdmissionControl(2)
    admissions.enter(1)
    admissions.enter(2)
    admissions.leave([1, 77])
    admissions.leave([1])
    admissions.enter(3)
    refusal(admissions)


def test_who_is_refused_is_told_when_half_of_the_queue_will_have_begun() -> None:
    clock = Clock()
    admissions = AdmissionControl(10, clock)
    for request_id in range(10):
        admissions.enter(request_id)
    for request_id in range(4):
        clock.now += 3.0
        admissions.leave([request_id])
        admissions.enter(100 + request_id)
    # Four left within 12 seconds, counted from when the queue came into being.
    assert retry_after_s(admissions) == pytest.approx(12.0 / 5 * 10 / 2)


def test_a_pause_without_requests_does_not_slow_down_the_pace() -> None:
    clock = Clock()
    admissions = AdmissionControl(1, clock)
    admissions.enter(1)
    admissions.leave([1])
    clock.now += 86_400
    admissions.enter(2)
    assert retry_after_s(admissions) == MIN_RETRY_AFTER_S


def test_the_advice_is_bounded_however_long_nothing_begins() -> None:
    clock = Clock()
    admissions = AdmissionControl(1, clock)
    admissions.enter(1)
    clock.now += 86_400
    assert retry_after_s(admissions) == MAX_RETRY_AFTER_S


def test_two_threads_never_lose_a_place() -> None:
    admissions = AdmissionControl(50)

    def begin_all() -> None:
        for request_id in range(2000):
            admissions.leave([request_id])

    beginning = threading.Thread(target=begin_all)
    beginning.start()
    for request_id in range(2000):
        with suppress(QueueFullError):
            admissions.enter(request_id)
    beginning.join()
    admissions.leave(range(2000))
    for request_id in range(50):
        admissions.enter(request_id)
    refusal(admissions)


def test_who_fills_the_queue_does_not_keep_another_out() -> None:
    admissions = AdmissionControl(4)
    greedy, modest = Caller(id="greedy"), Caller(id="modest")
    for request_id in range(4):
        admissions.enter(request_id, greedy)
    admissions.enter(10, modest)
    admissions.enter(11, modest)
    for caller in (greedy, modest):
        with pytest.raises(QueueFullError):
            admissions.enter(12, caller)
    admissions.leave([0, 1])
    with pytest.raises(QueueFullError):
        admissions.enter(13, greedy)
