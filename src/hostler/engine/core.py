"""The engine: takes prepared requests, runs steps, gives deltas. No torch, no sockets, no threads."""

import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from hostler.engine.request import Request
from hostler.engine.runner import ModelRunner, NumericalFailure
from hostler.engine.scheduler import Scheduler
from hostler.errors import EngineRequestError, HostlerError
from hostler.types import FinishReason, TokenDelta

logger = logging.getLogger(__name__)


class TextProcessor(Protocol):
    """Spells tokens; `hostler.engine.output_processor.OutputProcessor` is the one in use."""

    def process(self, request: Request, token_id: int, reason: FinishReason | None) -> TokenDelta: ...

    def free(self, request: Request) -> None: ...


@dataclass
class StepOutput:
    """What one step gave to whom."""

    deltas: list[tuple[int, TokenDelta]] = field(default_factory=list)
    """Request id and what was added to one of its sequences."""
    failures: dict[int, HostlerError] = field(default_factory=dict)
    """Requests that ended with an error, all of their sequences with them."""


class EngineCore:
    """One model's requests, from admission to the last token."""

    def __init__(self, scheduler: Scheduler, runner: ModelRunner, text: TextProcessor) -> None:
        self._scheduler = scheduler
        self._runner = runner
        self._text = text
        self._sequences: defaultdict[int, set[Request]] = defaultdict(set)

    def add_request(self, sequences: Iterable[Request]) -> None:
        """Queue the sequences of one request."""
        for request in sequences:
            self._sequences[request.request_id].add(request)
            self._scheduler.add_request(request)

    def abort(self, request_id: int) -> None:
        """Stop a request before the next step and free what it holds. Unknown ids are ignored."""
        for request in list(self._sequences.get(request_id, ())):
            self._finish(request, FinishReason.ABORT)

    def has_unfinished_requests(self) -> bool:
        return self._scheduler.has_requests()

    def step(self) -> StepOutput:
        """Compute one step. An exception in it fails the requests that took part, and leaves the others waiting."""
        scheduled = self._scheduler.schedule()
        output = StepOutput()
        try:
            sampled = self._runner.execute(scheduled)
        except Exception:
            logger.exception("step_failed num_sequences=%d", len(scheduled.num_scheduled_tokens))
            # The runner may have stopped half-way, so nothing that was in its hands can be continued.
            for request in [*scheduled.num_scheduled_tokens, *self._scheduler.running]:
                self._fail(request, output, "the engine failed while it computed this request")
            return output
        broken = [request for request, token in sampled.items() if isinstance(token, NumericalFailure)]
        tokens = {request: token for request, token in sampled.items() if not isinstance(token, NumericalFailure)}
        for request, token_id, reason in self._scheduler.update_from_output(scheduled, tokens):
            delta = self._text.process(request, token_id, reason)
            output.deltas.append((request.request_id, delta))
            if delta.finish_reason is not None:
                self._finish(request, delta.finish_reason)
        for request in broken:
            logger.error("logits_not_numbers request_id=%d num_tokens=%d", request.request_id, request.num_tokens)
            self._fail(request, output, "the model computed something that is not a number; try another dtype")
        return output

    def _fail(self, request: Request, output: StepOutput, message: str) -> None:
        output.failures[request.request_id] = EngineRequestError(message)
        self.abort(request.request_id)

    def _finish(self, request: Request, reason: FinishReason) -> None:
        self._scheduler.finish(request, reason)
        self._runner.free([request])
        self._text.free(request)
        siblings = self._sequences[request.request_id]
        siblings.discard(request)
        if not siblings:
            del self._sequences[request.request_id]
