"""The engine: takes prepared requests, runs steps, gives deltas. No torch, no sockets, no threads."""

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from hostler.engine.beams.search import BeamSearch, Candidate, Hypothesis
from hostler.engine.request import Request
from hostler.engine.runner import Failure, GrammarFailure, ModelRunner, PrefixKeeper
from hostler.engine.scheduler import Scheduler, SchedulerOutput
from hostler.engine.step_counters import StepCounters
from hostler.engine_stats import EngineStats
from hostler.errors import EngineRequestError, HostlerError, InvalidRequestError, ServiceError
from hostler.types import FinishReason, TokenDelta

logger = logging.getLogger(__name__)

MAX_FAILED_STEPS = 3
"""In a row. One may be the fault of a request; so many are hardly anybody's but the engine's."""


class TextProcessor(Protocol):
    """Spells tokens; `hostler.engine.text.output_processor.OutputProcessor` is the one in use."""

    def process(self, request: Request, token_id: int, reason: FinishReason | None) -> TokenDelta: ...

    def stopped(self, request: Request, candidates: Sequence[Candidate]) -> set[Candidate]: ...

    def process_answers(self, request: Request, answers: Sequence[Hypothesis]) -> list[TokenDelta]: ...

    def free(self, request: Request) -> None: ...


@dataclass
class StepOutput:
    """What one step gave to whom."""

    request_ids: set[int] = field(default_factory=set)
    """Requests of which something was to be computed, whatever came of it."""
    deltas: list[tuple[int, TokenDelta]] = field(default_factory=list)
    """Request id and what was added to one of its sequences."""
    failures: dict[int, HostlerError] = field(default_factory=dict)
    """Requests that ended with an error, all of their sequences with them."""


class EngineCore:
    """One model's requests, from admission to the last token."""

    def __init__(
        self, scheduler: Scheduler, runner: ModelRunner, text: TextProcessor, keeper: PrefixKeeper | None = None
    ) -> None:
        """`keeper`: the runner, where the scheduler's cache reuses prefixes."""
        self._scheduler = scheduler
        self._runner = runner
        self._text = text
        self._keeper = keeper
        self._sequences: defaultdict[int, set[Request]] = defaultdict(set)
        self._num_failed_steps = 0
        """Since the last one that succeeded."""
        self._counters = StepCounters()

    def add_request(self, sequences: Iterable[Request]) -> None:
        """Queue the sequences of one request."""
        for request in sequences:
            self._sequences[request.request_id].add(request)
            self._scheduler.add_request(request)

    def abort(self, request_id: int) -> None:
        """Stop a request before the next step and free what it holds. Unknown ids are ignored."""
        for request in list(self._sequences.get(request_id, ())):
            self._finish(request, FinishReason.ABORT)

    def drop_kept(self) -> None:
        """Forget what was computed of ended sequences; the next ones begin with nothing."""
        self._scheduler.kv_cache.drop_kept()
        self._drop_what_left()

    def has_unfinished_requests(self) -> bool:
        return self._scheduler.has_requests()

    def stats(self) -> EngineStats:
        scheduler, counters = self._scheduler, self._counters
        return EngineStats(
            num_running=len(scheduler.running),
            num_waiting=len(scheduler.waiting),
            num_steps=counters.num_steps,
            num_step_sequences=counters.num_sequences,
            num_step_tokens=counters.num_tokens,
            step_seconds=counters.seconds,
            num_preempted=counters.num_preempted,
            cache_capacity_tokens=scheduler.kv_cache.capacity_tokens,
            cache_used_tokens=scheduler.kv_cache.num_used_tokens,
            cache_kept_tokens=scheduler.kv_cache.num_kept_tokens,
        )

    def step(self) -> StepOutput:
        """Compute one step. An exception of the model fails the requests that took part, and leaves the others waiting.

        What this raises leaves the engine in a state that nobody knows; it must not be used again.

        Raises:
            Exception: the model's, when `MAX_FAILED_STEPS` in a row have failed; any that comes out of the bookkeeping.
        """
        began_at = time.perf_counter()
        scheduled = self._scheduler.schedule()
        for request in scheduled.num_scheduled_tokens:
            if request.queued_s is None:
                request.queued_s = began_at - request.admitted_at
        try:
            return self._compute(scheduled)
        finally:
            counts, seconds = scheduled.num_scheduled_tokens.values(), time.perf_counter() - began_at
            self._counters.note(len(counts), sum(counts), seconds, len(scheduled.preempted))

    def _compute(self, scheduled: SchedulerOutput) -> StepOutput:
        # Every request that was admitted fits an empty cache. Were it otherwise, this would go on for ever.
        assert scheduled.num_scheduled_tokens or not self.has_unfinished_requests(), "nothing of what waits can begin"
        output = StepOutput(request_ids={request.request_id for request in scheduled.num_scheduled_tokens})
        try:
            outcomes = self._runner.execute(scheduled)
        except Exception as exc:
            self._num_failed_steps += 1
            if self._num_failed_steps == MAX_FAILED_STEPS:
                raise
            self._fail_step(scheduled, exc, output)
            return output
        self._num_failed_steps = 0
        broken = {request: outcome for request, outcome in outcomes.items() if isinstance(outcome, Failure)}
        tokens = {request: outcome for request, outcome in outcomes.items() if isinstance(outcome, int)}
        for request, token_id, reason in self._scheduler.update_from_output(scheduled, tokens):
            self._answer(request, token_id, reason, output)
        for request, outcome in outcomes.items():
            if isinstance(outcome, list) and request.search is not None:
                self._advance(request, request.search, outcome, output)
        for request, failure in broken.items():
            self._fail(request, output, _error_of(request, failure))
        return output

    def _advance(
        self, request: Request, search: BeamSearch, candidates: Sequence[Candidate], output: StepOutput
    ) -> None:
        """Go on with a beam search, whose answers are known when it is over and not before."""
        try:
            if not request.advance(search, candidates, stopped=self._text.stopped(request, candidates)):
                return
            answers = search.best(request.params.n)
            deltas = self._text.process_answers(request, answers)
        except Exception:
            self._fail_text(request, output)
            return
        output.deltas += [(request.request_id, delta) for delta in deltas]
        self._finish(request, answers[0].finish_reason)

    def _answer(self, request: Request, token_id: int, reason: FinishReason | None, output: StepOutput) -> None:
        """Give out the text of one new token, unless another sequence of the request has just failed it."""
        if request.request_id in output.failures:
            return
        try:
            delta = self._text.process(request, token_id, reason)
        except Exception:
            self._fail_text(request, output)
            return
        output.deltas.append((request.request_id, delta))
        if delta.finish_reason is not None:
            self._finish(request, delta.finish_reason)

    def _fail_text(self, request: Request, output: StepOutput) -> None:
        """To be called while the exception is handled."""
        logger.exception("text_failed request_id=%d num_tokens=%d", request.request_id, request.num_tokens)
        self._fail(request, output, EngineRequestError("what the model answered could not be made into text"))

    def _fail_step(self, scheduled: SchedulerOutput, exc: Exception, output: StepOutput) -> None:
        """The runner may have stopped half-way, so nothing that was in its hands can be continued."""
        logger.error(
            "step_failed num_sequences=%d num_tokens=%d num_failed_steps=%d",
            len(scheduled.num_scheduled_tokens),
            sum(scheduled.num_scheduled_tokens.values()),
            self._num_failed_steps,
            exc_info=exc,
        )
        error: HostlerError = EngineRequestError("the engine failed while it computed this request")
        if is_out_of_memory(exc):
            error = ServiceError(
                "there was not enough memory to compute this request beside the others; ask again when less is going on"
                " (max_num_seqs and max_num_batched_tokens set how much is computed at once)"
            )
            self._scheduler.kv_cache.drop_kept()
        for request in [*scheduled.num_scheduled_tokens, *scheduled.preempted, *self._scheduler.running]:
            self._fail(request, output, error)

    def _fail(self, request: Request, output: StepOutput, error: HostlerError) -> None:
        output.failures[request.request_id] = error
        for sequence in list(self._sequences.get(request.request_id, ())):
            self._finish(sequence, FinishReason.ABORT, is_sound=False)

    def _finish(self, request: Request, reason: FinishReason, *, is_sound: bool = True) -> None:
        self._scheduler.finish(request, reason, is_sound=is_sound)
        self._keep(request)
        self._runner.free([request])
        self._text.free(request)
        siblings = self._sequences[request.request_id]
        siblings.discard(request)
        if not siblings:
            del self._sequences[request.request_id]

    def _keep(self, request: Request) -> None:
        """Keep of an ended sequence what others may begin with, and nothing of those that make way for it."""
        kv_cache = self._scheduler.kv_cache
        num_tokens = kv_cache.num_kept_tokens_of(request)
        if num_tokens and self._keeper is not None:
            try:
                self._keeper.keep(request, num_tokens)
                # They have been told, and do not count in the cache.
                request.prompt_scores.clear()
                request.output_scores.clear()
            except Exception:
                # Most likely there is no memory for a copy; what is kept of others is none that is needed either.
                logger.exception("prefix_not_kept request_id=%d num_tokens=%d", request.request_id, num_tokens)
                kv_cache.drop_kept()
        self._drop_what_left()

    def _drop_what_left(self) -> None:
        if self._keeper is not None:
            self._keeper.drop(self._scheduler.kv_cache.take_dropped())


def _error_of(request: Request, failure: Failure) -> HostlerError:
    if isinstance(failure, GrammarFailure):
        param = request.matcher.param if request.matcher is not None else None
        return InvalidRequestError(f"{param} could not be followed to its end: {failure}"[:500], param=param)
    logger.error("logits_not_numbers request_id=%d num_tokens=%d", request.request_id, request.num_tokens)
    return EngineRequestError("the model computed something that is not a number; try another dtype")


def is_out_of_memory(exc: Exception) -> bool:
    """torch, which is not imported here, has a class of its own for a GPU and a plain `RuntimeError` for a CPU."""
    names = {cls.__name__ for cls in type(exc).__mro__}
    return not names.isdisjoint({"MemoryError", "OutOfMemoryError"}) or "can't allocate memory" in str(exc)
