"""The scheduler by itself: integers in, integers out."""

from hypothesis import given, settings
from hypothesis import strategies as st

from hostler.engine.kv_cache import BLOCK_SIZE, KVCacheManager
from hostler.engine.request import Request, RequestStatus
from hostler.engine.scheduler import Scheduler, SchedulerOutput
from hostler.types import FinishReason, SamplingParams

END = 99


def make_request(num_prompt_tokens: int, max_tokens: int = 8, request_id: int = 0) -> Request:
    return Request(
        request_id=request_id,
        index=0,
        params=SamplingParams(),
        prompt_token_ids=[1] * num_prompt_tokens,
        max_tokens=max_tokens,
        stop_token_ids=frozenset([END]),
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


@settings(max_examples=200)
@given(
    lengths=st.lists(st.tuples(st.integers(1, 60), st.integers(1, 30)), min_size=1, max_size=12),
    capacity_blocks=st.integers(6, 20),
    budget=st.integers(1, 40),
    max_num_seqs=st.integers(1, 6),
    aborted=st.sets(st.integers(0, 11)),
)
def test_every_sequence_gets_all_its_tokens_within_the_limits(
    lengths: list[tuple[int, int]], capacity_blocks: int, budget: int, max_num_seqs: int, aborted: set[int]
) -> None:
    capacity = capacity_blocks * BLOCK_SIZE
    scheduler = make_scheduler(capacity, max_num_seqs, budget)
    requests = [make_request(prompt, answer, number) for number, (prompt, answer) in enumerate(lengths)]
    for request in requests:
        scheduler.add_request(request)
    num_steps = 0
    while scheduler.has_requests():
        output = scheduler.schedule()
        assert output.num_scheduled_tokens, "a step without work while requests wait"
        assert sum(output.num_scheduled_tokens.values()) <= scheduler.max_num_batched_tokens
        assert len(scheduler.running) <= max_num_seqs
        assert scheduler.kv_cache.num_used_tokens <= capacity
        finish_step(scheduler, output)
        num_steps += 1
        if num_steps == 3:
            for request in requests:
                if request.request_id in aborted:
                    scheduler.finish(request, FinishReason.ABORT)
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
