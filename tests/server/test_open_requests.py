"""Requests that are under way are counted for all whom they concern, and each once."""

import pytest

from hostler.errors import RateLimitError
from hostler.keys import CallerLimits
from hostler.server.counted import Counted
from hostler.server.open_requests import OpenRequests

CALLER = Counted("key:a", "this caller", "", CallerLimits(concurrent_requests=2, queued_requests=1))
ALL = Counted("total", "all callers", "total_", CallerLimits(concurrent_requests=3))


def test_one_too_many_is_refused_with_what_there_is_too_much_of() -> None:
    requests = OpenRequests()
    requests.enter([CALLER])
    with pytest.raises(RateLimitError, match=r"1 requests of this caller wait .* \(queued_requests\)"):
        requests.enter([CALLER])


def test_who_is_refused_for_one_reason_counts_for_none() -> None:
    requests = OpenRequests()
    requests.enter([CALLER, ALL])
    for _ in range(5):
        with pytest.raises(RateLimitError):
            requests.enter([CALLER, ALL])
    assert (requests.num_open, requests.num_queued) == (1, 1)
    for _ in range(2):
        requests.enter([ALL])
    with pytest.raises(RateLimitError, match="total_concurrent_requests"):
        requests.enter([ALL])


def test_a_ticket_is_given_back_once_however_often_that_is_said() -> None:
    requests = OpenRequests()
    first = requests.enter([CALLER])
    first.begin()
    first.begin()
    second = requests.enter([CALLER])
    assert (requests.num_open, requests.num_queued) == (2, 1)
    for ticket in (first, first, second, second):
        ticket.leave()
    assert (requests.num_open, requests.num_queued) == (0, 0)
