"""Which sequences can begin as which others did, in integers alone."""

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostler.engine.kv_cache import BLOCK_SIZE, KEPT_SHARE, KVCacheManager
from hostler.engine.prefix_cache import LEAST_REUSED_TOKENS, Match, Prefix, PrefixCache
from hostler.engine.request import Request, RequestStatus
from hostler.engine.scheduler import LEAST_AWAITED_TOKENS, Scheduler, SchedulerOutput
from hostler.types import FinishReason, SamplingParams

BLOCK = 16
FEW = LEAST_REUSED_TOKENS // BLOCK
"""Blocks that are just worth it."""


def make_request(token_ids: list[int], *, computed: int = 0, arrival: int = 0, max_tokens: int = 8) -> Request:
    return Request(
        request_id=arrival,
        index=0,
        params=SamplingParams(),
        prompt_token_ids=token_ids,
        max_tokens=max_tokens,
        stop_token_ids=frozenset(),
        num_computed_tokens=computed,
        arrival=arrival,
    )


def blocks(*names: int) -> list[int]:
    return [name for name in names for _ in range(BLOCK)]


def kept(cache: PrefixCache, token_ids: list[int], limit: int = 1 << 20) -> Request:
    request = make_request(token_ids, computed=len(token_ids))
    request.status = RequestStatus.FINISHED
    cache.keep(request, limit)
    return request


def running(cache: PrefixCache, token_ids: list[int], *, computed: int, arrival: int = 0) -> Request:
    request = make_request(token_ids, computed=computed, arrival=arrival)
    request.status = RequestStatus.RUNNING
    cache.begin(request)
    return request


def test_whole_blocks_in_common_are_found_and_nothing_beyond_them() -> None:
    cache = PrefixCache(BLOCK)
    source = kept(cache, [*blocks(1, 2, 3), 4, 4, 4])
    other = [*blocks(1, 2), *[3] * (BLOCK - 1), 9, *blocks(5)]
    assert cache.match(make_request(other)) == Match(Prefix(source, 2 * BLOCK), 0)
    assert cache.match(make_request(blocks(9, 2, 3))).prefix is None


def test_the_longest_prefix_wins() -> None:
    cache = PrefixCache(BLOCK)
    kept(cache, blocks(1, 2, 7))
    longest = kept(cache, blocks(1, 2, 3, 4, 8))
    kept(cache, blocks(1, 2, 3, 9))
    assert cache.match(make_request(blocks(1, 2, 3, 4, 5, 6))).prefix == Prefix(longest, 4 * BLOCK)


def test_the_last_token_of_a_prompt_is_always_computed() -> None:
    cache = PrefixCache(BLOCK)
    source = kept(cache, blocks(*range(4)))
    assert cache.match(make_request(blocks(*range(4)))).prefix == Prefix(source, 3 * BLOCK)
    assert cache.match(make_request([*blocks(*range(4)), 5])).prefix == Prefix(source, 4 * BLOCK)


def test_too_short_a_prefix_is_not_worth_it() -> None:
    cache = PrefixCache(BLOCK)
    kept(cache, blocks(*range(9)))
    assert cache.match(make_request(blocks(*range(FEW - 1), 99, 99))).prefix is None
    assert cache.match(make_request(blocks(*range(FEW), 99))).prefix is not None


def test_of_a_running_sequence_what_is_computed_can_be_reused_and_what_is_coming_awaited() -> None:
    cache = PrefixCache(BLOCK)
    source = running(cache, blocks(*range(8)), computed=3 * BLOCK + 5)
    late = make_request(blocks(*range(7), 99), arrival=1)
    assert cache.match(late) == Match(Prefix(source, 3 * BLOCK), num_coming=7 * BLOCK)
    source.num_computed_tokens = 8 * BLOCK
    assert cache.match(late).prefix == Prefix(source, 7 * BLOCK)


def test_nobody_waits_for_a_sequence_that_comes_after_it() -> None:
    cache = PrefixCache(BLOCK)
    running(cache, blocks(*range(8)), computed=0, arrival=5)
    assert cache.match(make_request(blocks(*range(8)), arrival=4)).num_coming == 0


def test_a_sequence_that_is_gone_is_no_source() -> None:
    cache = PrefixCache(BLOCK)
    source = running(cache, blocks(*range(8)), computed=8 * BLOCK)
    cache.leave(source)
    cache.leave(source)
    assert cache.match(make_request(blocks(*range(8)), arrival=1)) == Match(None, 0)


def test_what_a_kept_sequence_begins_with_need_not_be_kept_too() -> None:
    cache = PrefixCache(BLOCK)
    short = kept(cache, blocks(1, 2, 3))
    long = kept(cache, blocks(1, 2, 3, 4))
    assert cache.take_dropped() == [short]
    assert kept(cache, blocks(1, 2)) not in cache.take_dropped()
    assert cache.num_kept_tokens == 4 * BLOCK == cache.num_kept_tokens_of(long)


def test_the_longest_unused_makes_way() -> None:
    cache = PrefixCache(BLOCK)
    first, second, third = (kept(cache, blocks(name, name, name), limit=9 * BLOCK) for name in range(3))
    cache.use(Prefix(first, 2 * BLOCK))
    fourth = kept(cache, blocks(7, 7, 7), limit=9 * BLOCK)
    assert cache.take_dropped() == [second]
    fifth = kept(cache, blocks(*range(20)), limit=9 * BLOCK)
    assert cache.take_dropped() == [third, first, fourth]
    assert cache.num_kept_tokens_of(fifth) == 20 * BLOCK, "the last one stays whatever its length"


def test_the_tree_is_empty_again_when_all_are_gone() -> None:
    cache = PrefixCache(BLOCK)
    kept(cache, blocks(1, 2, 3))
    request = running(cache, blocks(1, 2, 4), computed=0)
    cache.shrink(0)
    cache.leave(request)
    assert not cache._root.next


def make_scheduler(capacity: int = 4096, *, budget: int = 256, max_num_seqs: int = 8) -> Scheduler:
    kv_cache = KVCacheManager(capacity, reuses_prefixes=True)
    return Scheduler(kv_cache, max_num_seqs=max_num_seqs, max_num_batched_tokens=budget)


def finish_step(scheduler: Scheduler, output: SchedulerOutput) -> None:
    up_to_date = {r: 5 for r, n in output.num_scheduled_tokens.items() if n == r.num_new_tokens}
    scheduler.update_from_output(output, up_to_date)


def run(scheduler: Scheduler) -> None:
    while scheduler.has_requests():
        finish_step(scheduler, scheduler.schedule())


def test_a_sequence_begins_with_what_an_ended_one_left() -> None:
    scheduler = make_scheduler()
    first, second = make_request(blocks(1, 2, 3)), make_request(blocks(1, 2, 3, 4))
    scheduler.add_request(first)
    run(scheduler)
    scheduler.add_request(second)
    output = scheduler.schedule()
    assert output.reused == {second: Prefix(first, 3 * BLOCK)}
    assert output.num_scheduled_tokens == {second: BLOCK}
    assert second.num_cached_tokens == 3 * BLOCK


def test_of_prompts_that_come_together_one_computes_what_is_long_and_the_others_wait_for_it() -> None:
    scheduler = make_scheduler(budget=1024)
    num_shared = LEAST_AWAITED_TOKENS // BLOCK
    requests = [make_request(blocks(*range(num_shared), 1000 + number)) for number in range(3)]
    for request in requests:
        scheduler.add_request(request)
    output = scheduler.schedule()
    assert list(output.num_scheduled_tokens) == requests[:1]
    finish_step(scheduler, output)
    output = scheduler.schedule()
    assert output.num_scheduled_tokens == {requests[0]: 1, requests[1]: BLOCK, requests[2]: BLOCK}
    assert list(output.reused) == requests[1:]
    assert {prefix.num_tokens for prefix in output.reused.values()} == {num_shared * BLOCK}


def test_what_is_short_is_computed_side_by_side() -> None:
    scheduler = make_scheduler(budget=1024)
    requests = [make_request(blocks(1, 2, 1000 + number)) for number in range(3)]
    for request in requests:
        scheduler.add_request(request)
    assert list(scheduler.schedule().num_scheduled_tokens) == requests


def test_what_is_kept_makes_way_before_anybody_is_preempted() -> None:
    scheduler = make_scheduler(capacity=10 * BLOCK)
    old = make_request(blocks(1, 2, 3, 4, 5), max_tokens=1)
    scheduler.add_request(old)
    run(scheduler)
    assert scheduler.kv_cache.num_kept_tokens == 5 * BLOCK
    requests = [make_request(blocks(7, 7), arrival=1, max_tokens=40), make_request(blocks(8, 8), max_tokens=40)]
    for request in requests:
        scheduler.add_request(request)
    dropped, preempted = [], []
    while scheduler.has_requests():
        output = scheduler.schedule()
        dropped += output.dropped
        preempted += output.preempted
        finish_step(scheduler, output)
    assert (dropped, preempted) == ([old], [])


def test_a_source_that_has_to_make_way_for_its_heir_is_named_in_the_same_step() -> None:
    scheduler = make_scheduler(capacity=8 * BLOCK)
    old = make_request(blocks(1, 2, 3, 4, 5, 6), max_tokens=1)
    scheduler.add_request(old)
    run(scheduler)
    heir = make_request(blocks(1, 2, 3, 4, 5, 6, 7))
    scheduler.add_request(heir)
    output = scheduler.schedule()
    assert output.reused == {heir: Prefix(old, 6 * BLOCK)}
    assert output.dropped == [old]


@pytest.mark.parametrize("ends", [FinishReason.ABORT, FinishReason.STOP])
def test_of_a_sequence_that_ends_early_what_was_computed_is_kept(ends: FinishReason) -> None:
    scheduler = make_scheduler(budget=40)
    request = make_request(blocks(*range(8)))
    scheduler.add_request(request)
    finish_step(scheduler, scheduler.schedule())
    scheduler.finish(request, ends)
    assert scheduler.kv_cache.num_kept_tokens_of(request) == 2 * BLOCK
    assert scheduler.kv_cache.num_used_tokens == 0


def test_of_a_sequence_that_failed_or_never_ran_nothing_is_kept() -> None:
    scheduler = make_scheduler(budget=40)
    failed, waiting = make_request(blocks(1, 2, 3)), make_request(blocks(4, 5, 6))
    scheduler.add_request(failed)
    finish_step(scheduler, scheduler.schedule())
    scheduler.add_request(waiting)
    scheduler.finish(failed, FinishReason.ABORT, is_sound=False)
    scheduler.finish(waiting, FinishReason.ABORT)
    assert scheduler.kv_cache.num_kept_tokens == 0


class Arrival(NamedTuple):
    names: list[int]
    """Blocks of the prompt; there are few, so that prompts begin alike."""
    num_more: int
    max_tokens: int
    priority: int
    num_steps_before: int
    abort_after: int


arrivals = st.lists(
    st.builds(
        Arrival,
        names=st.lists(st.integers(1, 2), max_size=12),
        num_more=st.integers(1, 20),
        max_tokens=st.integers(1, 30),
        priority=st.integers(-1, 1),
        num_steps_before=st.integers(0, 6),
        abort_after=st.one_of(st.just(10_000), st.integers(1, 40)),
    ),
    min_size=1,
    max_size=14,
)


class Model:
    """Stands in for the runner: knows which tokens' states are where, and that a source is there when it is copied."""

    def __init__(self) -> None:
        self.states: dict[Request, list[int]] = {}
        self.kept: dict[Request, list[int]] = {}

    def execute(self, output: SchedulerOutput) -> None:
        for request, prefix in output.reused.items():
            source = self.kept.get(prefix.source, self.states.get(prefix.source, []))
            assert len(source) >= prefix.num_tokens > 0
            self.states[request] = source[: prefix.num_tokens]
        for request in output.dropped:
            self.kept.pop(request, None)
        for request in output.preempted:
            self.states.pop(request, None)
        for request, num_tokens in output.num_scheduled_tokens.items():
            states = self.states.setdefault(request, [])
            assert len(states) == request.num_computed_tokens
            states += request.token_ids(len(states), len(states) + num_tokens)
            assert states == request.token_ids(0, len(states)), "states of other tokens than its own"

    def end(self, request: Request, kv_cache: KVCacheManager) -> None:
        states = self.states.pop(request, [])
        if num_tokens := kv_cache.num_kept_tokens_of(request):
            assert len(states) >= num_tokens
            self.kept[request] = states[:num_tokens]
        for dropped in kv_cache.take_dropped():
            self.kept.pop(dropped, None)


@settings(max_examples=300)
@given(
    arrivals=arrivals,
    capacity_blocks=st.integers(16, 60),
    budget=st.integers(4, 300),
    max_num_seqs=st.integers(1, 6),
)
def test_every_reused_token_is_the_right_one_and_there_and_within_the_capacity(
    arrivals: list[Arrival], capacity_blocks: int, budget: int, max_num_seqs: int
) -> None:
    capacity = capacity_blocks * BLOCK_SIZE
    scheduler = make_scheduler(capacity, budget=budget, max_num_seqs=max_num_seqs)
    kv_cache, model = scheduler.kv_cache, Model()
    requests: list[Request] = []
    num_steps = 0

    def step() -> None:
        nonlocal num_steps
        num_steps += 1
        if scheduler.has_requests():
            output = scheduler.schedule()
            assert output.num_scheduled_tokens, "a step without work while requests wait"
            model.execute(output)
            finish_step(scheduler, output)
        for request in requests:
            if arrivals[request.request_id].abort_after == num_steps:
                scheduler.finish(request, FinishReason.ABORT)
            if request.status is RequestStatus.FINISHED and request in model.states:
                model.end(request, kv_cache)
        assert sum(map(len, model.kept.values())) == kv_cache.num_kept_tokens
        assert kv_cache.num_used_tokens + kv_cache.num_kept_tokens <= capacity

    for number, arrival in enumerate(arrivals):
        for _ in range(arrival.num_steps_before):
            step()
        request = make_request([*blocks(*arrival.names), *[3] * arrival.num_more], max_tokens=arrival.max_tokens)
        request.request_id, request.priority = number, arrival.priority
        requests.append(request)
        scheduler.add_request(request)
    while scheduler.has_requests():
        step()
    assert kv_cache.num_used_tokens == 0
    longest = max((len(states) for states in model.kept.values()), default=0)
    assert kv_cache.num_kept_tokens <= max(capacity * KEPT_SHARE, longest)
    for request in requests:
        if request.finish_reason is FinishReason.LENGTH:
            assert len(request.output_token_ids) == request.max_tokens
