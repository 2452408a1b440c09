"""A beam search to the scheduler: one request that takes as many places as it has beams."""

from hostler.engine.beams.search import BeamSearch, Candidate
from hostler.engine.kv_cache import KVCacheManager
from hostler.engine.request import Request, RequestStatus
from hostler.engine.scheduler import Scheduler, SchedulerOutput
from hostler.types import FinishReason, SamplingParams


def make_request(request_id: int, num_prompt_tokens: int = 4, num_beams: int = 1) -> Request:
    request = Request(request_id, 0, SamplingParams(), [1] * num_prompt_tokens, 50, frozenset([0]))
    if num_beams > 1:
        request.search = BeamSearch(
            num_beams=num_beams, length_penalty=1.0, early_stopping=False, max_tokens=50, num_end_tokens=1
        )
    return request


def make_scheduler(*requests: Request, max_num_seqs: int = 8, budget: int = 64, cache: int = 4096) -> Scheduler:
    scheduler = Scheduler(KVCacheManager(cache), max_num_seqs=max_num_seqs, max_num_batched_tokens=budget)
    for request in requests:
        scheduler.add_request(request)
    return scheduler


def step(scheduler: Scheduler) -> SchedulerOutput:
    """One step after which every sequence that is up to date has one more token."""
    output = scheduler.schedule()
    up_to_date = [request for request, num in output.num_scheduled_tokens.items() if num == request.num_new_tokens]
    scheduler.update_from_output(output, {request: 7 for request in up_to_date if request.search is None})
    for request in up_to_date:
        if request.search is not None:
            num_running = len(request.search.running)
            candidates = [Candidate(i % num_running, 7 + i, -float(i)) for i in range(request.search.num_candidates)]
            request.advance(request.search, candidates, stopped=set())
    return output


def scheduled(output: SchedulerOutput) -> dict[int, int]:
    return {request.request_id: num for request, num in output.num_scheduled_tokens.items()}


def test_a_search_begins_when_all_of_its_beams_have_a_place() -> None:
    scheduler = make_scheduler(make_request(0), make_request(1), make_request(2, num_beams=3), max_num_seqs=4)
    assert scheduled(step(scheduler)) == {0: 4, 1: 4}
    scheduler.finish(scheduler.running[0], FinishReason.ABORT)
    assert scheduled(step(scheduler)) == {1: 1, 2: 4}


def test_nobody_overtakes_a_search_that_waits_for_places() -> None:
    scheduler = make_scheduler(make_request(0), make_request(1, num_beams=4), make_request(2), max_num_seqs=4)
    assert scheduled(step(scheduler)) == {0: 4}
    assert [request.request_id for request in scheduler.waiting] == [1, 2]


def test_the_beams_share_their_prompt_and_then_take_a_token_each_of_the_budget() -> None:
    scheduler = make_scheduler(make_request(0, 10, num_beams=4), make_request(1, 30), budget=12)
    assert scheduled(step(scheduler)) == {0: 10, 1: 2}
    assert scheduled(step(scheduler)) == {0: 1, 1: 8}, "one token for each of four beams leaves eight of twelve"


def test_a_preempted_search_computes_its_prompt_once_and_its_beams_together() -> None:
    search = make_request(0, 10, num_beams=4)
    scheduler = make_scheduler(search, budget=20)
    step(scheduler)
    # Two blocks of 16 tokens are what it has room for.
    scheduler.kv_cache.capacity_tokens = 4 * 32
    while search.status is RequestStatus.RUNNING:
        step(scheduler)
    assert search.num_tokens == 33
    scheduler.kv_cache.capacity_tokens = 4096
    # Twenty tokens a step are five for each of four beams.
    assert [scheduled(step(scheduler))[0] for _ in range(6)] == [10, 5, 5, 5, 5, 3]
    assert search.num_tokens == 34


def test_every_beam_counts_in_the_cache_and_pads_nobody() -> None:
    scheduler = make_scheduler(make_request(0, 40, num_beams=4), make_request(1, 5))
    step(scheduler)
    # Three blocks of 16 for each of four beams, and one for the other.
    assert scheduler.kv_cache.num_used_tokens == 4 * 48 + 16
    scheduler.finish(scheduler.running[0], FinishReason.ABORT)
    assert scheduler.kv_cache.num_used_tokens == 16
