from hypothesis import given
from hypothesis import strategies as st

from hostler.engine.pooling.request import PoolingRequest, PoolingSequence
from hostler.engine.pooling.scheduler import LEAST_FILLED, PoolingScheduler
from hostler.types import ANYBODY, Caller, PoolingParams, PoolingTask

PARAMS = PoolingParams(task=PoolingTask.EMBED, param="input")
LENGTHS = st.lists(st.lists(st.integers(1, 100), min_size=1, max_size=20), min_size=1, max_size=8)


def request_of(request_id: int, lengths: list[int], caller: Caller = ANYBODY) -> PoolingRequest:
    request = PoolingRequest(request_id, PARAMS, caller)
    request.sequences = [PoolingSequence(request, index, [7] * length) for index, length in enumerate(lengths)]
    return request


def owners(batch: list[PoolingSequence]) -> list[int]:
    return [sequence.request.request_id for sequence in batch]


@given(LENGTHS, st.integers(1, 64))
def test_every_text_is_computed_once_within_the_bound_and_beside_its_like(
    requests: list[list[int]], max_num_batched_tokens: int
) -> None:
    scheduler = PoolingScheduler(max_num_batched_tokens)
    for request_id, lengths in enumerate(requests):
        scheduler.add_request(request_of(request_id, lengths))
    computed: list[tuple[int, int]] = []
    while scheduler.has_requests():
        batch = scheduler.schedule()
        longest = max(sequence.num_tokens for sequence in batch)
        assert len(batch) == 1 or len(batch) * longest <= max_num_batched_tokens
        assert min(sequence.num_tokens for sequence in batch) >= longest * LEAST_FILLED
        computed += [(sequence.request.request_id, sequence.index) for sequence in batch]
    assert sorted(computed) == [(i, j) for i, lengths in enumerate(requests) for j in range(len(lengths))]


def test_a_small_request_does_not_wait_for_a_large_one() -> None:
    scheduler = PoolingScheduler(max_num_batched_tokens=64)
    scheduler.add_request(request_of(1, [32] * 1000))
    for _ in range(3):
        scheduler.schedule()
    scheduler.add_request(request_of(2, [5]))
    steps = [owners(scheduler.schedule()) for _ in range(2)]
    assert 2 in steps[0] + steps[1]


def test_two_large_requests_get_on_alike() -> None:
    scheduler = PoolingScheduler(max_num_batched_tokens=64)
    scheduler.add_request(request_of(1, [32] * 100))
    scheduler.add_request(request_of(2, [64] * 50))
    served = [owner for _ in range(40) for owner in owners(scheduler.schedule())]
    assert abs(32 * served.count(1) - 64 * served.count(2)) <= 64


def test_texts_of_several_requests_share_a_step() -> None:
    scheduler = PoolingScheduler(max_num_batched_tokens=64)
    for request_id in range(4):
        scheduler.add_request(request_of(request_id, [10]))
    assert sorted(owners(scheduler.schedule())) == [0, 1, 2, 3]


def test_a_request_that_is_removed_is_not_computed() -> None:
    scheduler = PoolingScheduler(max_num_batched_tokens=64)
    scheduler.add_request(request_of(1, [10] * 100))
    scheduler.add_request(request_of(2, [10]))
    scheduler.remove(1)
    scheduler.remove(99)
    assert owners(scheduler.schedule()) == [2]
    assert not scheduler.has_requests()


def test_a_caller_of_many_requests_gets_no_more_than_its_weight_says() -> None:
    scheduler = PoolingScheduler(max_num_batched_tokens=32)
    anna, bert = Caller("anna", weight=2.0), Caller("bert")
    for request_id in range(50):
        scheduler.add_request(request_of(request_id, [32] * 10, bert))
    scheduler.schedule()
    scheduler.add_request(request_of(99, [32] * 100, anna))
    served = [owner for _ in range(90) for owner in owners(scheduler.schedule())]
    assert abs(served.count(99) - 60) <= 2


def test_a_caller_that_comes_back_is_owed_nothing() -> None:
    scheduler = PoolingScheduler(max_num_batched_tokens=32)
    anna, bert = Caller("anna"), Caller("bert")
    scheduler.add_request(request_of(1, [32], anna))
    scheduler.schedule()
    scheduler.add_request(request_of(2, [32] * 100, bert))
    for _ in range(50):
        scheduler.schedule()
    scheduler.add_request(request_of(3, [32] * 100, anna))
    served = [owner for _ in range(20) for owner in owners(scheduler.schedule())]
    assert served.count(3) == 10
