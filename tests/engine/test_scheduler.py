"""The scheduler by itself: integers in, integers out."""

from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from hostler.engine.kv_cache import BLOCK_SIZE, KVCacheManager
from hostler.engine.request import Request, RequestStatus
from hostler.engine.scheduler import Scheduler, SchedulerOutput
from hostler.types import FinishReason, SamplingParams

END = 99


def make_request(num_prompt_tokens: int, max_tokens: int = 8, request_id: int = 0, priority: int = 0) -> Request:
    return Request(
        request_id=request_id,
        index=0,
        params=SamplingParams(),
        prompt_token_ids=[1] * num_prompt_tokens,
        max_tokens=max_tokens,
        stop_token_ids=frozenset([END]),
        priority=priority,
    )


def make_scheduler(capacity: int = 4096, max_num_seqs: int = 4, max_num_batched_tokens: int = 16) -> Scheduler:
    return Scheduler(KVCacheManager(capacity), max_num_seqs=max_num_seqs, max_num_batched_tokens=max_num_batched_tokens)


def finish_step(scheduler: Scheduler, output: SchedulerOutput, token: int = 5) -> list[Request]:
    """Sample the same token for every sequence that is up to date; the ones that ended."""
    up_to_date = {r: token for r, n in output.num_scheduled_tokens.items() if n == r.num_new_tokens}
    return [r for r, _, reason in scheduler.update_from_output(output, up_to_date) if reason is not None]


def make_seq2seq_request(num_encoder_tokens: int) -> Request:
    request = make_request(1)
    request.encoder_token_ids = [1] * num_encoder_tokens
    return request


def test_a_long_prompt_is_cut_into_pieces_of_the_budget() -> None:
    scheduler = make_scheduler(max_num_batched_tokens=16)
    request = make_request(40)
    scheduler.add_request(request)
    pieces = []
    for _ in range(3):
        output = scheduler.schedule()
        pieces.append(output.num_scheduled_tokens[request])
        finish_step(scheduler, output)
    assert pieces == [16, 16, 8]
    assert request.output_token_ids == [5]


def test_running_sequences_get_their_token_before_a_prompt_gets_its_piece() -> None:
    scheduler = make_scheduler(max_num_batched_tokens=16)
    running, newcomer = make_request(4), make_request(100)
    scheduler.add_request(running)
    finish_step(scheduler, scheduler.schedule())
    scheduler.add_request(newcomer)
    output = scheduler.schedule()
    assert output.num_scheduled_tokens == {running: 1, newcomer: 15}


def test_no_more_sequences_run_than_allowed_and_the_first_comes_first() -> None:
    scheduler = make_scheduler(max_num_seqs=2)
    requests = [make_request(2, request_id=number) for number in range(3)]
    for request in requests:
        scheduler.add_request(request)
    assert list(scheduler.schedule().num_scheduled_tokens) == requests[:2]
    scheduler.finish(requests[0], FinishReason.ABORT)
    scheduler.schedule()
    assert scheduler.running == [requests[1], requests[2]]


def test_a_stop_token_ends_a_sequence_and_frees_its_cache() -> None:
    scheduler = make_scheduler()
    request = make_request(3)
    scheduler.add_request(request)
    assert finish_step(scheduler, scheduler.schedule(), token=END) == [request]
    assert request.finish_reason is FinishReason.STOP
    assert scheduler.kv_cache.num_used_tokens == 0
    assert not scheduler.has_requests()


def test_the_youngest_makes_way_when_the_cache_is_full_and_comes_back_first() -> None:
    scheduler = make_scheduler(capacity=2 * BLOCK_SIZE, max_num_batched_tokens=64)
    old, young = make_request(BLOCK_SIZE, max_tokens=9), make_request(BLOCK_SIZE, max_tokens=9)
    late = make_request(1)
    for request in (old, young, late):
        scheduler.add_request(request)
    finish_step(scheduler, scheduler.schedule())
    output = scheduler.schedule()
    assert output.preempted == [young]
    assert output.num_scheduled_tokens == {old: 1}
    assert list(scheduler.waiting) == [young, late]
    assert young.status is RequestStatus.PREEMPTED
    assert young.num_new_tokens == BLOCK_SIZE + 1


def test_padding_counts_as_used_cache() -> None:
    cache = KVCacheManager(6 * BLOCK_SIZE)
    long, short, other = make_request(1), make_request(1), make_request(1)
    assert cache.allocate_slots(long, 3 * BLOCK_SIZE)
    assert cache.allocate_slots(short, 1)
    assert cache.num_used_tokens == 6 * BLOCK_SIZE
    assert not cache.allocate_slots(other, 1)
    cache.free(long)
    assert cache.allocate_slots(other, 1)


def test_a_lower_priority_number_goes_first_and_equals_keep_their_order() -> None:
    scheduler = make_scheduler(max_num_seqs=1)
    requests = [make_request(2, max_tokens=1, request_id=i, priority=p) for i, p in enumerate([0, 5, -3, 0, -3, 5])]
    for request in requests:
        scheduler.add_request(request)
    served: list[int] = []
    while scheduler.has_requests():
        served += [request.request_id for request in finish_step(scheduler, scheduler.schedule())]
    assert served == [2, 4, 0, 3, 1, 5]


def test_a_running_sequence_does_not_make_way_for_one_that_waits_whatever_its_priority() -> None:
    scheduler = make_scheduler(max_num_seqs=1)
    running, urgent = make_request(2, max_tokens=3, priority=9), make_request(2, priority=-9)
    scheduler.add_request(running)
    finish_step(scheduler, scheduler.schedule())
    scheduler.add_request(urgent)
    for _ in range(2):
        output = scheduler.schedule()
        assert output.num_scheduled_tokens == {running: 1}
        finish_step(scheduler, output)
    assert list(scheduler.schedule().num_scheduled_tokens) == [urgent]


def test_the_least_urgent_makes_way_when_the_cache_is_full_even_if_it_is_the_oldest() -> None:
    scheduler = make_scheduler(capacity=4 * BLOCK_SIZE, max_num_batched_tokens=64)
    patient, urgent = make_request(BLOCK_SIZE, priority=1), make_request(2 * BLOCK_SIZE)
    scheduler.add_request(patient)
    finish_step(scheduler, scheduler.schedule())
    scheduler.add_request(urgent)
    finish_step(scheduler, scheduler.schedule())
    assert scheduler.running == [patient, urgent]
    output = scheduler.schedule()
    assert output.preempted == [patient]
    assert output.num_scheduled_tokens == {urgent: 1}


class Arrival(NamedTuple):
    num_prompt_tokens: int
    max_tokens: int
    priority: int
    num_steps_before: int
    """Steps between the one before and this one."""
    abort_after: int
    """Step at which it is aborted, if it is still there."""


arrivals = st.lists(
    st.builds(
        Arrival,
        num_prompt_tokens=st.integers(1, 60),
        max_tokens=st.integers(1, 30),
        priority=st.integers(-2, 2),
        num_steps_before=st.integers(0, 4),
        abort_after=st.one_of(st.just(10_000), st.integers(1, 40)),
    ),
    min_size=1,
    max_size=12,
)


def checked_step(scheduler: Scheduler) -> None:
    """One step, held to everything that a step promises."""
    decoding = {request for request in scheduler.running if request.num_new_tokens == 1}
    first_prefilling = min(set(scheduler.running) - decoding, key=lambda r: r.turn, default=None)
    queue = list(scheduler.waiting)
    assert queue == sorted(queue, key=lambda r: r.turn)
    output = scheduler.schedule()
    scheduled, preempted = output.num_scheduled_tokens, set(output.preempted)
    assert scheduled, "a step without work while requests wait"
    assert sum(scheduled.values()) <= scheduler.max_num_batched_tokens
    assert len(scheduler.running) <= scheduler.max_num_seqs
    assert scheduler.kv_cache.num_used_tokens + scheduler.kv_cache.num_kept_tokens <= scheduler.kv_cache.capacity_tokens
    assert not preempted & scheduled.keys()
    # Who decodes gets its token in every step; of the prompts, at least the first goes on.
    assert decoding - preempted <= scheduled.keys()
    assert first_prefilling is None or first_prefilling in preempted or scheduled[first_prefilling] > 0
    # Nobody makes way for one whose turn is later.
    assert all(victim.turn > request.turn for victim in preempted for request in scheduler.running)
    # Who begins was at the head of the queue, and nobody was passed over.
    begun = [request for request in scheduled if request in queue]
    assert begun == queue[: len(begun)]
    finish_step(scheduler, output)


@settings(max_examples=300)
@given(
    arrivals=arrivals,
    capacity_blocks=st.integers(6, 20),
    budget=st.integers(1, 40),
    max_num_seqs=st.integers(1, 6),
    reuses_prefixes=st.booleans(),
)
def test_every_sequence_gets_all_its_tokens_in_its_turn_and_within_the_limits(
    arrivals: list[Arrival], capacity_blocks: int, budget: int, max_num_seqs: int, reuses_prefixes: bool
) -> None:
    kv_cache = KVCacheManager(capacity_blocks * BLOCK_SIZE, reuses_prefixes=reuses_prefixes)
    scheduler = Scheduler(kv_cache, max_num_seqs=max_num_seqs, max_num_batched_tokens=budget)
    requests: list[Request] = []
    num_steps = 0

    def step() -> None:
        nonlocal num_steps
        if scheduler.has_requests():
            checked_step(scheduler)
        num_steps += 1
        for request in requests:
            if arrivals[request.request_id].abort_after == num_steps:
                scheduler.finish(request, FinishReason.ABORT)

    for number, arrival in enumerate(arrivals):
        for _ in range(arrival.num_steps_before):
            step()
        request = make_request(arrival.num_prompt_tokens, arrival.max_tokens, number, arrival.priority)
        requests.append(request)
        scheduler.add_request(request)
    while scheduler.has_requests():
        step()
    assert scheduler.kv_cache.num_used_tokens == 0
    for request in requests:
        assert request.finish_reason is not None
        if request.finish_reason is FinishReason.LENGTH:
            assert len(request.output_token_ids) == request.max_tokens


def test_a_step_takes_no_more_encoder_inputs_than_its_budget_holds() -> None:
    scheduler = make_scheduler(max_num_batched_tokens=16)
    requests = [make_seq2seq_request(length) for length in (7, 7, 5, 3)]
    for request in requests:
        scheduler.add_request(request)
    first = scheduler.schedule()
    assert first.num_scheduled_tokens == {requests[0]: 1, requests[1]: 1}
    finish_step(scheduler, first)
    assert scheduler.schedule().num_scheduled_tokens.keys() == set(requests)


def test_an_encoder_input_longer_than_the_budget_is_taken_alone() -> None:
    scheduler = make_scheduler(max_num_batched_tokens=16)
    requests = [make_seq2seq_request(length) for length in (3, 40, 3)]
    for request in requests:
        scheduler.add_request(request)
    started: list[list[Request]] = []
    for _ in range(3):
        output = scheduler.schedule()
        started.append([request for request in output.num_scheduled_tokens if not request.num_computed_tokens])
        finish_step(scheduler, output)
    assert started == [requests[:1], requests[1:2], requests[2:]]


def test_room_is_reserved_for_the_encoder_input_too() -> None:
    scheduler = make_scheduler(capacity=6 * BLOCK_SIZE, max_num_batched_tokens=512)
    requests = [make_seq2seq_request(2 * BLOCK_SIZE) for _ in range(4)]
    for request in requests:
        scheduler.add_request(request)
    assert list(scheduler.schedule().num_scheduled_tokens) == requests[:3]
    assert scheduler.kv_cache.num_used_tokens == 6 * BLOCK_SIZE
