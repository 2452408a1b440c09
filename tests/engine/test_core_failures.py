"""What the engine core does with errors: of the model, of one request's text, of its own bookkeeping."""

import logging
from collections.abc import Sequence

import pytest

from hostler.engine.beams.search import BeamSearch, Candidate
from hostler.engine.core import MAX_FAILED_STEPS, EngineCore, StepOutput
from hostler.engine.kv_cache import BLOCK_SIZE, KVCacheManager
from hostler.engine.request import Request
from hostler.engine.runner import Outcome
from hostler.engine.scheduler import Scheduler, SchedulerOutput
from hostler.errors import EngineRequestError, HostlerError, ServiceError
from hostler.types import FinishReason, TokenDelta
from tests.engine.test_core import ScriptedRunner, Spelling, make_core, sequences


class OutOfMemoryError(RuntimeError):
    """Named as torch's."""


class Forgetful(Spelling):
    """Cannot spell what belongs to one request."""

    def __init__(self, broken_id: int) -> None:
        self.broken_id = broken_id
        self.known: set[Request] = set()

    def process(self, request: Request, token_id: int, reason: FinishReason | None) -> TokenDelta:
        self.known.add(request)
        if request.request_id == self.broken_id:
            raise ValueError("no such token")
        return super().process(request, token_id, reason)

    def free(self, request: Request) -> None:
        self.known.discard(request)


def failed_step(core: EngineCore, runner: ScriptedRunner, error: Exception) -> StepOutput:
    runner.error = error
    return core.step()


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    ("error", "error_class", "words"),
    [
        (RuntimeError("out of luck"), EngineRequestError, "the engine failed"),
        (MemoryError(), ServiceError, "not enough memory"),
        (OutOfMemoryError("CUDA out of memory"), ServiceError, "not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"), ServiceError, "not enough memory"),
    ],
)
def test_a_failed_step_says_what_failed_in_words_of_ours_and_is_logged_once(
    error: Exception, error_class: type[HostlerError], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    core, runner = make_core()
    core.add_request(sequences(1, count=2))
    core.add_request(sequences(2))
    output = failed_step(core, runner, error)
    assert {type(failure) for failure in output.failures.values()} == {error_class}
    assert all(words in failure.message for failure in output.failures.values())
    assert output.failures.keys() == output.request_ids == {1, 2}
    assert len(runner.freed) == 3
    assert not core.has_unfinished_requests()
    assert messages(caplog) == ["step_failed num_sequences=3 num_tokens=6 num_failed_steps=1"]


def test_what_was_preempted_in_a_step_that_fails_fails_with_it() -> None:
    runner = ScriptedRunner()
    room_for_one = KVCacheManager(3 * BLOCK_SIZE)
    core = EngineCore(Scheduler(room_for_one, max_num_seqs=4, max_num_batched_tokens=64), runner, Spelling())
    for request_id in (1, 2):
        core.add_request(sequences(request_id, max_tokens=40))
    for _ in range(BLOCK_SIZE - 1):
        core.step()
    output = failed_step(core, runner, RuntimeError("half-way"))
    # The runner may not have dropped the cache of the second.
    assert output.request_ids == {1}
    assert output.failures.keys() == {1, 2}
    assert {request.request_id for request in runner.freed} == {1, 2}


def test_an_engine_that_only_fails_is_given_up() -> None:
    core, runner = make_core(max_num_seqs=1)
    for request_id in range(MAX_FAILED_STEPS):
        core.add_request(sequences(request_id))
    for _ in range(MAX_FAILED_STEPS - 1):
        failed_step(core, runner, RuntimeError("again"))
    with pytest.raises(RuntimeError, match="again"):
        failed_step(core, runner, RuntimeError("again"))


def test_a_step_that_succeeds_ends_the_row_of_failures() -> None:
    core, runner = make_core(max_num_seqs=1)
    for request_id in range(2 * MAX_FAILED_STEPS):
        core.add_request(sequences(request_id, max_tokens=2))
        failed_step(core, runner, RuntimeError("now and then"))
        core.add_request(sequences(100 + request_id, max_tokens=1))
        assert core.step().deltas
    assert not core.has_unfinished_requests()


def test_text_that_cannot_be_made_fails_its_own_request_and_leaves_nothing(caplog: pytest.LogCaptureFixture) -> None:
    runner, text = ScriptedRunner(), Forgetful(broken_id=1)
    core = EngineCore(make_core()[0]._scheduler, runner, text)
    core.add_request(sequences(1, count=3))
    core.add_request(sequences(2))
    output = core.step()
    assert isinstance(output.failures.pop(1), EngineRequestError)
    assert not output.failures
    assert [request_id for request_id, _ in output.deltas] == [2]
    assert {request.request_id for request in text.known} == {2}
    assert messages(caplog) == ["text_failed request_id=1 num_tokens=3"]
    while core.has_unfinished_requests():
        assert not core.step().failures
    assert not text.known
    assert not core._sequences


def test_text_that_cannot_be_made_of_a_beam_search_fails_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    runner, text = ScriptedRunner(), Forgetful(broken_id=1)
    core = EngineCore(make_core()[0]._scheduler, runner, text)
    (searching,) = sequences(1)
    searching.search = BeamSearch(num_beams=2, length_penalty=1.0, early_stopping=False, max_tokens=3, num_end_tokens=1)
    core.add_request([searching])
    core.add_request(sequences(2))

    def execute(output: SchedulerOutput) -> dict[Request, Outcome]:
        return {request: [] if request.search else 5 for request in output.num_scheduled_tokens}

    def refuse(request: Request, candidates: Sequence[Candidate]) -> set[Candidate]:
        raise ValueError("no such token")

    monkeypatch.setattr(runner, "execute", execute)
    monkeypatch.setattr(text, "stopped", refuse)
    output = core.step()
    assert output.failures.keys() == {1}
    assert [request_id for request_id, _ in output.deltas] == [2]


def test_an_engine_that_can_begin_nothing_does_not_turn_in_circles() -> None:
    scheduler = Scheduler(KVCacheManager(0), max_num_seqs=4, max_num_batched_tokens=64)
    core = EngineCore(scheduler, ScriptedRunner(), Spelling())
    core.add_request(sequences(1))
    with pytest.raises(AssertionError, match="nothing of what waits can begin"):
        core.step()


def test_an_error_in_the_bookkeeping_is_not_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    core, runner = make_core()
    core.add_request(sequences(1, max_tokens=1))

    def refuse(_: object) -> None:
        raise KeyError("a row that is not there")

    monkeypatch.setattr(runner, "free", refuse)
    with pytest.raises(KeyError):
        core.step()
    core, _ = make_core()
    core.add_request(sequences(1))

    def schedule() -> SchedulerOutput:
        raise IndexError("a queue out of order")

    monkeypatch.setattr(core._scheduler, "schedule", schedule)
    with pytest.raises(IndexError):
        core.step()
