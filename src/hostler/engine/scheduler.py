"""Which sequences compute how many tokens in the next step: integers alone, no tensors.

There is no phase of prefill and none of decoding: every sequence has tokens that are known and tokens that are
computed, and a step lets the second number catch up with the first within a budget. The words and the two-phase
shape (`schedule`, then `update_from_output`) are vLLM's (its v1 scheduler).
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from hostler.engine.kv_cache import KVCacheManager
from hostler.engine.request import Request, RequestStatus
from hostler.types import FinishReason


@dataclass(frozen=True)
class SchedulerOutput:
    """The work of one step."""

    num_scheduled_tokens: dict[Request, int]
    """Running sequences first, oldest first. A sequence gets a sampled token when this brings it up to date."""
    preempted: list[Request]
    """Sequences whose cache must be dropped before the step."""


class Scheduler:
    """First come, first served. Sequences that run go before those that wait."""

    def __init__(self, kv_cache: KVCacheManager, *, max_num_seqs: int, max_num_batched_tokens: int) -> None:
        """A budget below `max_num_seqs` would leave running sequences without their one token; it is raised to it."""
        self.kv_cache = kv_cache
        self.max_num_seqs = max_num_seqs
        self.max_num_batched_tokens = max(max_num_batched_tokens, max_num_seqs)
        self.waiting: deque[Request] = deque()
        self.running: list[Request] = []

    def has_requests(self) -> bool:
        """Whether a step would have anything to do."""
        return bool(self.waiting or self.running)

    def add_request(self, request: Request) -> None:
        self.waiting.append(request)

    def schedule(self) -> SchedulerOutput:
        """Decide the next step and reserve cache for it. The youngest running sequences make way when it is full."""
        scheduled: dict[Request, int] = {}
        preempted: list[Request] = []
        budget = self.max_num_batched_tokens
        # Sequences that decode come first: one token each. What is left of the budget goes to prompts.
        for request in sorted(self.running, key=lambda candidate: candidate.num_new_tokens > 1):
            if request.status is not RequestStatus.RUNNING:
                continue
            num_tokens = min(request.num_new_tokens, budget)
            if num_tokens and self._make_room(request, num_tokens, scheduled, preempted):
                scheduled[request] = num_tokens
                budget -= num_tokens
        has_started = False
        while self.waiting and budget and not preempted and len(self.running) < self.max_num_seqs:
            request = self.waiting[0]
            # An encoder's input cannot be cut into chunks: one that is too long for a budget has a step's to itself.
            if request.num_encoder_tokens >= budget and has_started:
                break
            num_tokens = min(request.num_new_tokens, max(1, budget - request.num_encoder_tokens))
            if not self.kv_cache.allocate_slots(request, request.num_computed_tokens + num_tokens):
                break
            self.running.append(self.waiting.popleft())
            request.status = RequestStatus.RUNNING
            scheduled[request] = num_tokens
            budget = max(0, budget - num_tokens - request.num_encoder_tokens)
            has_started = True
        return SchedulerOutput(num_scheduled_tokens=scheduled, preempted=preempted)

    def _make_room(
        self, request: Request, num_tokens: int, scheduled: dict[Request, int], preempted: list[Request]
    ) -> bool:
        """Preempt from the young end until the sequence can grow; `False` when it had to go itself."""
        while not self.kv_cache.allocate_slots(request, request.num_computed_tokens + num_tokens):
            victim = self.running[-1]
            self._preempt(victim)
            scheduled.pop(victim, None)
            preempted.append(victim)
            if victim is request:
                return False
        return True

    def _preempt(self, request: Request) -> None:
        self.running.remove(request)
        self.kv_cache.free(request)
        request.num_computed_tokens = 0
        request.status = RequestStatus.PREEMPTED
        self.waiting.appendleft(request)

    def update_from_output(
        self, output: SchedulerOutput, sampled: Mapping[Request, int]
    ) -> list[tuple[Request, int, FinishReason | None]]:
        """Take in what a step computed.

        `sampled` has the new token of each sequence that the step brought up to date. Returns them with the reason
        why a sequence ends with it, if it does; ended ones have left the scheduler.
        """
        for request, num_tokens in output.num_scheduled_tokens.items():
            request.num_computed_tokens += num_tokens
        results: list[tuple[Request, int, FinishReason | None]] = []
        for request, token_id in sampled.items():
            reason = request.append(token_id)
            if reason is not None:
                self.finish(request, reason)
            results.append((request, token_id, reason))
        return results

    def finish(self, request: Request, reason: FinishReason) -> None:
        """Remove a sequence for whatever reason; harmless when it has left already."""
        if request.status is RequestStatus.FINISHED:
            return
        if request.status is RequestStatus.RUNNING:
            self.running.remove(request)
        else:
            self.waiting.remove(request)
        self.kv_cache.free(request)
        request.status = RequestStatus.FINISHED
        request.finish_reason = reason
