"""The engine of a model that reads whole texts: takes prepared requests, runs steps, gives answers. No torch."""

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from hostler.engine.core import MAX_FAILED_STEPS, is_out_of_memory
from hostler.engine.pooling.request import PoolingRequest, PoolingSequence
from hostler.engine.pooling.scheduler import PoolingScheduler
from hostler.engine.runner import NumericalFailure
from hostler.engine.step_counters import StepCounters
from hostler.engine_stats import EngineStats
from hostler.errors import EngineRequestError, HostlerError, ServiceError
from hostler.types import PoolingOutput

logger = logging.getLogger(__name__)


class PoolingRunner(Protocol):
    """The half that computes."""

    def execute(self, sequences: Sequence[PoolingSequence]) -> Sequence[Any]:
        """What the model makes of each."""
        ...

    def collect(self, request: PoolingRequest) -> bytes:
        """The values of a complete request, as `PoolingOutput` has them.

        Raises:
            NumericalFailure: one of them is infinite or no number.
        """
        ...


@dataclass
class PoolingStep:
    """What one step gave to whom."""

    request_ids: set[int] = field(default_factory=set)
    """Requests of which something was to be computed, whatever came of it."""
    outputs: dict[int, PoolingOutput] = field(default_factory=dict)
    """Of the requests that are complete."""
    failures: dict[int, HostlerError] = field(default_factory=dict)


class PoolingCore:
    """One model's requests, from admission to the answer."""

    def __init__(self, scheduler: PoolingScheduler, runner: PoolingRunner) -> None:
        self._scheduler = scheduler
        self._runner = runner
        self._num_failed_steps = 0
        """Since the last one that succeeded."""
        self._counters = StepCounters()

    def add_request(self, request: PoolingRequest) -> None:
        self._scheduler.add_request(request)

    def abort(self, request_id: int) -> None:
        """Stop a request before the next step. Unknown ids are ignored."""
        self._scheduler.remove(request_id)

    def drop_kept(self) -> None:
        """Nothing is kept of what has ended."""

    def has_unfinished_requests(self) -> bool:
        return self._scheduler.has_requests()

    def stats(self) -> EngineStats:
        return EngineStats(
            num_waiting=self._scheduler.num_waiting,
            num_steps=self._counters.num_steps,
            num_step_sequences=self._counters.num_sequences,
            num_step_tokens=self._counters.num_tokens,
            step_seconds=self._counters.seconds,
        )

    def step(self) -> PoolingStep:
        """Compute one step. An exception of the model fails the requests that took part, and leaves the others waiting.

        Raises:
            Exception: the model's, when `MAX_FAILED_STEPS` in a row have failed.
        """
        began_at = time.perf_counter()
        batch = self._scheduler.schedule()
        for sequence in batch:
            request = sequence.request
            if request.queued_s is None:
                request.queued_s = began_at - request.prepared_at
        try:
            return self._compute(batch)
        finally:
            num_tokens = sum(sequence.num_tokens for sequence in batch)
            self._counters.note(len(batch), num_tokens, time.perf_counter() - began_at)

    def _compute(self, batch: list[PoolingSequence]) -> PoolingStep:
        requests = {sequence.request.request_id: sequence.request for sequence in batch}
        output = PoolingStep(request_ids=set(requests))
        try:
            rows = self._runner.execute(batch)
        except Exception as exc:
            self._num_failed_steps += 1
            if self._num_failed_steps == MAX_FAILED_STEPS:
                raise
            self._fail_all(requests.values(), batch, exc, output)
            return output
        self._num_failed_steps = 0
        for sequence, row in zip(batch, rows, strict=True):
            sequence.request.rows[sequence.index] = row
        for request in requests.values():
            if request.is_complete:
                self._answer(request, output)
        return output

    def _answer(self, request: PoolingRequest, output: PoolingStep) -> None:
        try:
            values = self._runner.collect(request)
        except NumericalFailure:
            logger.error("values_not_numbers request_id=%d", request.request_id)  # noqa: TRY400
            output.failures[request.request_id] = EngineRequestError(
                "the model computed something that is not a number; try another dtype"
            )
            return
        output.outputs[request.request_id] = PoolingOutput(
            values=values, num_tokens=request.num_input_tokens, queued_s=request.queued_s
        )

    def _fail_all(
        self, requests: Iterable[PoolingRequest], batch: list[PoolingSequence], exc: Exception, output: PoolingStep
    ) -> None:
        logger.error(
            "step_failed num_sequences=%d num_tokens=%d num_failed_steps=%d",
            len(batch),
            sum(sequence.num_tokens for sequence in batch),
            self._num_failed_steps,
            exc_info=exc,
        )
        error: HostlerError = EngineRequestError("the engine failed while it computed this request")
        if is_out_of_memory(exc):
            error = ServiceError(
                "there was not enough memory to compute this request; ask again when less is going on, or with shorter"
                " texts (max_num_batched_tokens sets how much is computed at once)"
            )
        for request in requests:
            self._scheduler.remove(request.request_id)
            output.failures[request.request_id] = error
