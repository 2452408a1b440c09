from collections.abc import Callable, Sequence

import pytest

from hostler.engine.core import MAX_FAILED_STEPS
from hostler.engine.pooling.core import PoolingCore
from hostler.engine.pooling.request import PoolingRequest, PoolingSequence
from hostler.engine.pooling.scheduler import PoolingScheduler
from hostler.engine.runner import NumericalFailure
from hostler.errors import EngineRequestError, ServiceError
from hostler.types import PoolingOutput
from tests.engine.pooling.test_scheduler import request_of


class FakeRunner:
    """Makes of a text how many tokens it has."""

    def __init__(self) -> None:
        self.fault: Callable[[], Exception] | None = None
        self.is_sound = True

    def execute(self, sequences: Sequence[PoolingSequence]) -> Sequence[int]:
        if self.fault is not None:
            raise self.fault()
        return [sequence.num_tokens for sequence in sequences]

    def collect(self, request: PoolingRequest) -> bytes:
        if not self.is_sound:
            raise NumericalFailure
        return bytes(request.rows[index] for index in range(len(request.sequences)))


def core_of(runner: FakeRunner, *requests: list[int]) -> PoolingCore:
    core = PoolingCore(PoolingScheduler(max_num_batched_tokens=16), runner)
    for request_id, lengths in enumerate(requests):
        core.add_request(request_of(request_id, lengths))
    return core


def test_an_answer_has_its_texts_in_their_order_however_they_were_computed() -> None:
    core = core_of(FakeRunner(), [3, 9, 1, 7], [8])
    outputs: dict[int, PoolingOutput] = {}
    while core.has_unfinished_requests():
        step = core.step()
        assert step.outputs.keys() <= step.request_ids
        outputs |= step.outputs
    assert {request_id: output.values for request_id, output in outputs.items()} == {0: b"\x03\x09\x01\x07", 1: b"\x08"}


def test_a_request_tells_how_long_it_waited_for_its_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    core = PoolingCore(PoolingScheduler(max_num_batched_tokens=16), FakeRunner())
    outputs: dict[int, PoolingOutput] = {}
    for request_id in range(2):
        request = request_of(request_id, [16, 16])
        request.prepared_at = 100.0
        core.add_request(request)
    for now in (100.5, 102.0, 103.0, 107.0):
        monkeypatch.setattr("hostler.engine.pooling.core.time.perf_counter", lambda now=now: now)
        outputs |= core.step().outputs
    assert sorted(output.queued_s or 0.0 for output in outputs.values()) == [0.5, 2.0]


def test_an_exception_ends_the_requests_of_the_step_and_no_others() -> None:
    runner = FakeRunner()
    core = core_of(runner, [16] * 3, [16])
    runner.fault = lambda: ValueError("broken")
    step = core.step()
    assert {request_id: type(error) for request_id, error in step.failures.items()} == {0: EngineRequestError}
    runner.fault = None
    assert list(core.step().outputs) == [1]
    assert not core.has_unfinished_requests()


def test_running_out_of_memory_may_be_tried_again() -> None:
    runner = FakeRunner()
    core = core_of(runner, [16])
    runner.fault = MemoryError
    assert type(core.step().failures[0]) is ServiceError


def test_an_engine_that_fails_again_and_again_gives_up() -> None:
    runner = FakeRunner()
    core = core_of(runner, *([16] for _ in range(MAX_FAILED_STEPS)))
    runner.fault = lambda: ValueError("broken")
    for _ in range(MAX_FAILED_STEPS - 1):
        core.step()
    with pytest.raises(ValueError, match="broken"):
        core.step()


def test_what_is_no_number_is_an_error_and_no_answer() -> None:
    runner = FakeRunner()
    runner.is_sound = False
    step = core_of(runner, [4]).step()
    assert step.outputs == {}
    assert "not a number" in step.failures[0].message


def test_an_aborted_request_is_not_computed_any_further() -> None:
    core = core_of(FakeRunner(), [16] * 5, [16])
    core.step()
    core.abort(0)
    core.abort(0)
    assert list(core.step().outputs) == [1]
    assert not core.has_unfinished_requests()
