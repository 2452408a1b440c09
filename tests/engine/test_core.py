"""The engine core over a runner that is told what to say."""

from collections.abc import Iterable, Sequence

import pytest

from hostler.engine.beams.search import Candidate, Hypothesis
from hostler.engine.core import EngineCore
from hostler.engine.kv_cache import KVCacheManager
from hostler.engine.request import Request
from hostler.engine.runner import NumericalFailure
from hostler.engine.scheduler import Scheduler, SchedulerOutput
from hostler.errors import EngineRequestError
from hostler.types import FinishReason, SamplingParams, TokenDelta


class ScriptedRunner:
    """Says token 5 for everyone, unless told otherwise."""

    def __init__(self) -> None:
        self.freed: list[Request] = []
        self.error: Exception | None = None
        self.broken: set[int] = set()
        """Request ids whose logits are not numbers."""

    def execute(self, output: SchedulerOutput) -> dict[Request, int | NumericalFailure]:
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return {
            request: NumericalFailure() if request.request_id in self.broken else 5
            for request, num_tokens in output.num_scheduled_tokens.items()
            if num_tokens == request.num_new_tokens
        }

    def free(self, requests: Iterable[Request]) -> None:
        self.freed += requests


class Spelling:
    """Tokens as numbers."""

    def process(self, request: Request, token_id: int, reason: FinishReason | None) -> TokenDelta:
        return TokenDelta(index=request.index, text=str(token_id), token_ids=[token_id], finish_reason=reason)

    def stopped(self, request: Request, candidates: Sequence[Candidate]) -> set[Candidate]:
        return set()

    def process_answers(self, request: Request, answers: Sequence[Hypothesis]) -> list[TokenDelta]:
        return []

    def free(self, request: Request) -> None:
        pass


def make_core(max_num_seqs: int = 4) -> tuple[EngineCore, ScriptedRunner]:
    runner = ScriptedRunner()
    scheduler = Scheduler(KVCacheManager(4096), max_num_seqs=max_num_seqs, max_num_batched_tokens=64)
    return EngineCore(scheduler, runner, Spelling()), runner


def sequences(request_id: int, count: int = 1, max_tokens: int = 3) -> list[Request]:
    return [
        Request(request_id, index, SamplingParams(n=count), [1, 2], max_tokens, frozenset([0]))
        for index in range(count)
    ]


def test_every_sequence_gets_its_tokens_and_one_finish_reason() -> None:
    core, runner = make_core()
    core.add_request(sequences(1, count=2))
    deltas = []
    while core.has_unfinished_requests():
        deltas += core.step().deltas
    assert [(request_id, delta.index) for request_id, delta in deltas] == [(1, 0), (1, 1)] * 3
    assert [delta.finish_reason for _, delta in deltas[-2:]] == [FinishReason.LENGTH] * 2
    assert len(runner.freed) == 2


def test_each_sequence_knows_how_long_it_waited_for_its_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    core, _ = make_core(max_num_seqs=1)
    first, second = sequences(1) + sequences(2)
    for request in (first, second):
        request.admitted_at = 100.0
        core.add_request([request])
    for now in (100.5, 102.0, 103.0, 107.0, 109.0):
        monkeypatch.setattr("hostler.engine.core.time.perf_counter", lambda now=now: now)
        core.step()
    assert (first.queued_s, second.queued_s) == (0.5, 7.0)


def test_an_abort_frees_all_sequences_at_once_and_may_come_late() -> None:
    core, runner = make_core()
    core.add_request(sequences(1, count=3))
    core.step()
    core.abort(1)
    assert len(runner.freed) == 3
    assert not core.has_unfinished_requests()
    core.abort(1)
    core.abort(77)


def test_an_exception_in_a_step_fails_those_in_it_and_the_engine_goes_on() -> None:
    core, runner = make_core(max_num_seqs=1)
    core.add_request(sequences(1))
    core.add_request(sequences(2))
    runner.error = RuntimeError("out of luck")
    output = core.step()
    assert set(output.failures) == {1}
    assert isinstance(output.failures[1], EngineRequestError)
    assert "luck" not in output.failures[1].message
    owners = []
    while core.has_unfinished_requests():
        owners += [request_id for request_id, _ in core.step().deltas]
    assert owners == [2, 2, 2]


def test_a_numerical_failure_ends_its_own_request_only() -> None:
    core, runner = make_core()
    core.add_request(sequences(1, count=2))
    core.add_request(sequences(2))
    runner.broken = {1}
    output = core.step()
    assert set(output.failures) == {1}
    assert [request_id for request_id, _ in output.deltas] == [2]
    runner.broken = set()
    assert [request_id for request_id, _ in core.step().deltas] == [2]


class Keeper:
    """Remembers what it was told to keep; has no memory for more, if so told."""

    def __init__(self) -> None:
        self.kept: dict[Request, int] = {}
        self.is_full = False

    def keep(self, request: Request, num_tokens: int) -> None:
        if self.is_full:
            raise MemoryError
        self.kept[request] = num_tokens

    def drop(self, kept: Iterable[Request]) -> None:
        for request in kept:
            self.kept.pop(request, None)


class KeepingEngine:
    """A core that reuses prefixes, and its parts."""

    def __init__(self) -> None:
        self.runner, self.keeper = ScriptedRunner(), Keeper()
        self.kv_cache = KVCacheManager(4096, reuses_prefixes=True)
        scheduler = Scheduler(self.kv_cache, max_num_seqs=4, max_num_batched_tokens=512)
        self.core = EngineCore(scheduler, self.runner, Spelling(), self.keeper)

    def run(self) -> None:
        while self.core.has_unfinished_requests():
            self.core.step()


def long_sequence(request_id: int) -> Request:
    return Request(request_id, 0, SamplingParams(), [request_id] * 40, 3, frozenset([0]))


def test_what_was_computed_of_an_ended_sequence_is_kept_for_others() -> None:
    engine = KeepingEngine()
    request = long_sequence(1)
    engine.core.add_request([request])
    engine.run()
    assert engine.keeper.kept == {request: 32}
    engine.core.drop_kept()
    assert not engine.keeper.kept


def test_nothing_is_kept_of_a_sequence_that_failed() -> None:
    engine = KeepingEngine()
    engine.core.add_request([long_sequence(1)])
    engine.core.step()
    engine.runner.error = RuntimeError("out of luck")
    engine.core.step()
    engine.core.add_request([long_sequence(2)])
    engine.runner.broken = {2}
    engine.core.step()
    assert not engine.keeper.kept
    assert engine.kv_cache.num_kept_tokens == 0


def test_an_answer_does_not_fail_because_there_is_no_memory_to_keep_it() -> None:
    engine = KeepingEngine()
    engine.core.add_request([long_sequence(1)])
    engine.run()
    engine.keeper.is_full = True
    engine.core.add_request([long_sequence(2)])
    steps = [engine.core.step() for _ in range(3)]
    assert [delta.finish_reason for _, delta in steps[-1].deltas] == [FinishReason.LENGTH]
    assert not engine.keeper.kept
    assert engine.kv_cache.num_kept_tokens == 0


def test_when_memory_runs_out_in_a_step_nothing_is_kept_any_longer() -> None:
    engine = KeepingEngine()
    engine.core.add_request([long_sequence(1)])
    engine.run()
    engine.core.add_request([long_sequence(2)])
    engine.runner.error = MemoryError()
    engine.core.step()
    assert not engine.keeper.kept


def test_steps_are_counted_with_what_they_computed() -> None:
    core, _ = make_core(max_num_seqs=2)
    core.add_request(sequences(1, count=3, max_tokens=2))
    core.step()
    assert (core.stats().num_running, core.stats().num_waiting) == (2, 1)
    assert core.stats().cache_used_tokens > 0
    while core.has_unfinished_requests():
        core.step()
    stats = core.stats()
    assert (stats.num_running, stats.num_waiting, stats.cache_used_tokens) == (0, 0, 0)
    # Two prompts of two tokens, a token of each of them, then the same of the third.
    assert (stats.num_steps, stats.num_step_sequences, stats.num_step_tokens) == (4, 6, 9)
    assert stats.step_seconds > 0
    assert stats.cache_capacity_tokens == 4096


def test_a_step_that_fails_is_counted_too() -> None:
    core, runner = make_core()
    runner.error = RuntimeError("broken")
    core.add_request(sequences(1))
    core.step()
    assert core.stats().num_steps == 1
