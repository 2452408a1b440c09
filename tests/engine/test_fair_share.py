"""Callers share a model: none waits for another's thousand requests."""

from collections import Counter
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostler.engine.kv_cache import BLOCK_SIZE, KVCacheManager
from hostler.engine.request import Request, RequestStatus
from hostler.engine.scheduler import Scheduler
from hostler.types import Caller, FinishReason, SamplingParams
from tests.engine.test_scheduler import finish_step, make_request, make_scheduler

MANY, FEW = Caller(id="many"), Caller(id="few")
A_FEW_STEPS = 3


def request_of(caller: Caller, num_prompt_tokens: int = 4, max_tokens: int = 500, priority: int = 0) -> Request:
    request = make_request(num_prompt_tokens, max_tokens, priority=priority)
    request.caller = caller
    return request


def step(scheduler: Scheduler) -> list[Request]:
    """What ended with it."""
    return finish_step(scheduler, scheduler.schedule())


def steps_to_token(scheduler: Scheduler, request: Request, at_most: int = 1000) -> int:
    for number in range(1, at_most):
        step(scheduler)
        if request.output_token_ids:
            return number
    raise AssertionError("no token came")


@pytest.mark.parametrize("priority", [0, 1000])
def test_who_sends_a_thousand_requests_delays_one_of_another_by_a_few_steps(priority: int) -> None:
    scheduler = make_scheduler(max_num_seqs=8, max_num_batched_tokens=64)
    for _ in range(1000):
        scheduler.add_request(request_of(MANY, priority=-1))
    for _ in range(20):
        step(scheduler)
    single = request_of(FEW, priority=priority)
    scheduler.add_request(single)
    assert steps_to_token(scheduler, single) <= A_FEW_STEPS
    for _ in range(10):
        num_tokens = len(single.output_token_ids)
        step(scheduler)
        assert len(single.output_token_ids) == num_tokens + 1


@pytest.mark.parametrize(("max_num_seqs", "steps"), [(12, 1), (32, 12)])
def test_a_cache_that_another_has_filled_is_given_up_beyond_its_share(max_num_seqs: int, steps: int) -> None:
    scheduler = make_scheduler(capacity=8 * BLOCK_SIZE, max_num_seqs=max_num_seqs, max_num_batched_tokens=64)
    for _ in range(100):
        scheduler.add_request(request_of(MANY, max_tokens=12))
    step(scheduler)
    assert len(scheduler.running) == 8
    single = request_of(FEW, max_tokens=12)
    scheduler.add_request(single)
    # Half of twelve places are six; of 32, eight are within the share, and one of them has to end first.
    assert steps_to_token(scheduler, single) <= steps


def test_long_prompts_of_another_leave_room_for_a_short_one() -> None:
    scheduler = make_scheduler(capacity=1 << 20, max_num_seqs=8, max_num_batched_tokens=64)
    for _ in range(100):
        scheduler.add_request(request_of(MANY, num_prompt_tokens=64 * 50))
    for _ in range(5):
        step(scheduler)
    single = request_of(FEW)
    scheduler.add_request(single)
    assert steps_to_token(scheduler, single) <= A_FEW_STEPS


def test_a_long_prompt_gets_its_part_beside_anothers() -> None:
    scheduler = make_scheduler(capacity=1 << 20, max_num_seqs=8, max_num_batched_tokens=64)
    first, second = request_of(MANY, num_prompt_tokens=64 * 20), request_of(FEW, num_prompt_tokens=64 * 4)
    scheduler.add_request(first)
    step(scheduler)
    scheduler.add_request(second)
    # Half of each step: twice as long as alone, and not after all of the first.
    assert steps_to_token(scheduler, second) <= 2 * 4 + 1
    assert not first.output_token_ids


@pytest.mark.parametrize("weight", [1.0, 3.0])
def test_callers_that_both_have_enough_to_do_are_served_by_their_weights(weight: float) -> None:
    scheduler = make_scheduler(max_num_seqs=8, max_num_batched_tokens=64)
    heavy = Caller(id="heavy", weight=weight)
    for _ in range(300):
        scheduler.add_request(request_of(heavy, max_tokens=10))
    for _ in range(300):
        scheduler.add_request(request_of(FEW, max_tokens=10))
    ended: Counter[str] = Counter()
    for _ in range(200):
        ended.update(request.caller.id for request in step(scheduler))
    assert ended["heavy"] / ended["few"] == pytest.approx(weight, rel=0.1)


def test_who_was_away_has_saved_up_nothing() -> None:
    scheduler = make_scheduler(max_num_seqs=1, max_num_batched_tokens=64)
    for _ in range(50):
        scheduler.add_request(request_of(MANY, max_tokens=2))
    for _ in range(40):
        step(scheduler)
    for _ in range(50):
        scheduler.add_request(request_of(FEW, max_tokens=2))
    ended: Counter[str] = Counter()
    for _ in range(40):
        ended.update(request.caller.id for request in step(scheduler))
    assert abs(ended["many"] - ended["few"]) <= 2


def test_the_only_sequence_of_a_caller_never_makes_way_for_another_caller() -> None:
    scheduler = make_scheduler(max_num_seqs=2, max_num_batched_tokens=64)
    running = [request_of(Caller(id=name), max_tokens=5) for name in "ab"]
    for request in running:
        scheduler.add_request(request)
    step(scheduler)
    late = request_of(Caller(id="c"))
    scheduler.add_request(late)
    for _ in range(3):
        step(scheduler)
        assert all(request.status is RequestStatus.RUNNING for request in running)
    step(scheduler)
    step(scheduler)
    assert late.output_token_ids


def test_nobody_makes_way_for_one_that_could_not_begin_even_so() -> None:
    scheduler = make_scheduler(capacity=8 * BLOCK_SIZE, max_num_seqs=2, max_num_batched_tokens=1024)
    for _ in range(2):
        scheduler.add_request(request_of(MANY, max_tokens=8))
    step(scheduler)
    scheduler.add_request(request_of(FEW, num_prompt_tokens=8 * BLOCK_SIZE))
    assert scheduler.schedule().preempted == []


class Arrival(NamedTuple):
    caller: int
    num_prompt_tokens: int
    max_tokens: int
    priority: int
    num_steps_before: int


CALLERS = [Caller(id="a"), Caller(id="b", weight=0.1), Caller(id="c", weight=10.0)]
arrivals = st.lists(
    st.builds(
        Arrival,
        caller=st.integers(0, 2),
        num_prompt_tokens=st.integers(1, 60),
        max_tokens=st.integers(1, 30),
        priority=st.integers(-2, 2),
        num_steps_before=st.integers(0, 4),
    ),
    min_size=1,
    max_size=16,
)


def checked_step(scheduler: Scheduler) -> None:
    running = list(scheduler.running)
    num_running = Counter(request.caller.id for request in running)
    output = scheduler.schedule()
    scheduled, preempted = output.num_scheduled_tokens, set(output.preempted)
    assert scheduled, "a step without work while requests wait"
    assert sum(scheduled.values()) <= scheduler.max_num_batched_tokens
    assert len(scheduler.running) <= scheduler.max_num_seqs
    assert scheduler.kv_cache.num_used_tokens + scheduler.kv_cache.num_kept_tokens <= scheduler.kv_cache.capacity_tokens
    assert not preempted & scheduled.keys()
    assert preempted <= set(running)
    assert len(output.preempted) == len(preempted)
    if running:
        first = min(running, key=lambda request: request.turn)
        assert first not in preempted or num_running[first.caller.id] > 1 or first.turn > running[0].turn
    finish_step(scheduler, output)


@settings(max_examples=100)
@given(
    arrivals=arrivals,
    capacity_blocks=st.integers(6, 20),
    budget=st.integers(1, 40),
    max_num_seqs=st.integers(1, 6),
    reuses_prefixes=st.booleans(),
)
def test_every_sequence_of_every_caller_gets_all_its_tokens_within_the_limits(
    arrivals: list[Arrival], capacity_blocks: int, budget: int, max_num_seqs: int, reuses_prefixes: bool
) -> None:
    kv_cache = KVCacheManager(capacity_blocks * BLOCK_SIZE, reuses_prefixes=reuses_prefixes)
    scheduler = Scheduler(kv_cache, max_num_seqs=max_num_seqs, max_num_batched_tokens=budget)
    requests = []
    for number, arrival in enumerate(arrivals):
        for _ in range(arrival.num_steps_before):
            if scheduler.has_requests():
                checked_step(scheduler)
        request = Request(
            request_id=number,
            index=0,
            params=SamplingParams(),
            prompt_token_ids=[1] * arrival.num_prompt_tokens,
            max_tokens=arrival.max_tokens,
            stop_token_ids=frozenset(),
            priority=arrival.priority,
            caller=CALLERS[arrival.caller],
        )
        requests.append(request)
        scheduler.add_request(request)
    num_steps = 0
    while scheduler.has_requests():
        checked_step(scheduler)
        num_steps += 1
        assert num_steps < 20_000, "nothing comes to an end"
    assert scheduler.kv_cache.num_used_tokens == 0
    assert all(request.finish_reason is FinishReason.LENGTH for request in requests)


@settings(max_examples=100)
@given(
    num_others=st.integers(1, 60),
    prompt=st.integers(1, 200),
    max_num_seqs=st.integers(2, 8),
    num_steps_before=st.integers(0, 40),
)
def test_one_request_beside_any_number_of_anothers_has_its_first_token_in_a_few_steps(
    num_others: int, prompt: int, max_num_seqs: int, num_steps_before: int
) -> None:
    scheduler = make_scheduler(capacity=1 << 20, max_num_seqs=max_num_seqs, max_num_batched_tokens=32)
    for _ in range(num_others):
        scheduler.add_request(request_of(MANY, num_prompt_tokens=prompt, max_tokens=100))
    for _ in range(num_steps_before):
        step(scheduler)
    single = request_of(FEW)
    scheduler.add_request(single)
    assert steps_to_token(scheduler, single) <= A_FEW_STEPS
