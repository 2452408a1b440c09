"""Which sequences compute how many tokens in the next step: integers alone, no tensors.

There is no phase of prefill and none of decoding: every sequence has tokens that are known and tokens that are
computed, and a step lets the second number catch up with the first within a budget. The words and the two-phase
shape (`schedule`, then `update_from_output`) are vLLM's (its v1 scheduler).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hostler.engine.fair_queue import FairQueue
from hostler.engine.kv_cache import KVCacheManager
from hostler.engine.prefix_cache import Prefix
from hostler.engine.request import Request, RequestStatus
from hostler.engine.shares import Shares
from hostler.types import FinishReason

LEAST_AWAITED_TOKENS = 128
"""A sequence waits for another to compute at least so many tokens of its prompt; fewer are computed beside it."""


@dataclass(frozen=True)
class SchedulerOutput:
    """The work of one step: what is reused is taken first, then what is dropped and preempted goes."""

    num_scheduled_tokens: dict[Request, int]
    """Running sequences first, those that decode before those that prefill. A sequence gets a sampled token when this
    brings it up to date."""
    preempted: list[Request]
    """Sequences whose cache must be dropped before the step."""
    reused: dict[Request, Prefix] = field(default_factory=dict)
    """What sequences that begin in this step begin with, in this order: a source may be one that is named before."""
    dropped: list[Request] = field(default_factory=list)
    """Ended sequences of which nothing is to be kept any longer."""


class Scheduler:
    """First come, first served within a caller and a priority. Sequences that run go before those that wait, whatever
    theirs is, but for those that a caller has beyond its share while another waits for its own.
    """

    def __init__(self, kv_cache: KVCacheManager, *, max_num_seqs: int, max_num_batched_tokens: int) -> None:
        """A budget below `max_num_seqs` would leave running sequences without their one token; it is raised to it."""
        self.kv_cache = kv_cache
        self.max_num_seqs = max_num_seqs
        self.max_num_batched_tokens = max(max_num_batched_tokens, max_num_seqs)
        self.waiting = FairQueue()
        self.running: list[Request] = []
        """In the order in which they began."""
        self._num_arrived = 0

    def has_requests(self) -> bool:
        """Whether a step would have anything to do."""
        return bool(self.waiting or self.running)

    def add_request(self, request: Request) -> None:
        if not self.has_requests():
            self.waiting.begin_anew()
        request.arrival = self._num_arrived
        self._num_arrived += 1
        self.waiting.add(request)

    def schedule(self) -> SchedulerOutput:
        """Decide the next step and reserve cache for it. When it is full, the last by their turn make way, first of all
        those of callers that have more than their share."""
        scheduled: dict[Request, int] = {}
        preempted: list[Request] = []
        reused: dict[Request, Prefix] = {}
        shares = self._shares()
        made_way = [] if shares is None else self._make_way(shares)
        budget = self._continue_running(shares, scheduled, preempted)
        has_started = False
        num_free_rows = self.max_num_seqs - sum(request.num_rows for request in self.running)
        while self.waiting and budget and not preempted:
            request = self.waiting.peek(shares)
            if request.num_rows > num_free_rows or request in made_way:
                break
            # An encoder's input cannot be cut into chunks: one that is too long for a budget has a step's to itself.
            if request.num_encoder_tokens >= budget and has_started:
                break
            match = self.kv_cache.match(request)
            num_reused = match.prefix.num_tokens if match.prefix else 0
            if match.num_coming - num_reused >= LEAST_AWAITED_TOKENS:
                break
            request.num_computed_tokens = num_reused
            num_tokens = min(request.num_next_tokens, max(1, budget - request.num_encoder_tokens))
            if not self.kv_cache.allocate_slots(request, request.num_computed_tokens + num_tokens):
                request.num_computed_tokens = 0
                break
            if match.prefix:
                reused[request] = match.prefix
                self.kv_cache.use(match.prefix)
            if not request.output_token_ids:
                request.num_cached_tokens = num_reused
            self.waiting.begin(request)
            self.running.append(request)
            if shares is not None:
                shares.add(request)
            request.status = RequestStatus.RUNNING
            num_free_rows -= request.num_rows
            scheduled[request] = num_tokens
            budget = max(0, budget - num_tokens - request.num_encoder_tokens)
            has_started = True
        dropped = self.kv_cache.take_dropped()
        return SchedulerOutput(
            num_scheduled_tokens=scheduled, preempted=[*made_way, *preempted], reused=reused, dropped=dropped
        )

    def _shares(self) -> Shares | None:
        """`None`: one caller has it all, or nobody waits."""
        callers = {request.caller.id for request in self.running} | self.waiting.callers
        return Shares(self.running, self.waiting.heads(), self.max_num_seqs) if len(callers) > 1 else None

    def _make_way(self, shares: Shares) -> list[Request]:
        """Preempt what callers have beyond their shares, as far as the next one that waits needs it for its own.

        Nobody goes for one that could not begin even so, and no caller's only sequence ever goes.
        """
        head = self.waiting.peek(shares) if self.waiting else None
        if head is None or not shares.has_room(head):
            return []
        num_tokens = min(head.num_next_tokens, self.max_num_batched_tokens)
        num_free_rows = self.max_num_seqs - sum(request.num_rows for request in self.running)
        victims: list[Request] = []
        while num_free_rows < head.num_rows or not self.kv_cache.would_fit(head, num_tokens, without=victims):
            candidates = [request for request in self.running if request not in victims and shares.excess(request)]
            if not candidates:
                for victim in victims:
                    shares.add(victim)
                return []
            victim = max(candidates, key=lambda request: (shares.excess(request), request.turn))
            shares.release(victim)
            num_free_rows += victim.num_rows
            victims.append(victim)
        for victim in victims:
            self._preempt(victim)
        return victims

    def _continue_running(self, shares: Shares | None, scheduled: dict[Request, int], preempted: list[Request]) -> int:
        """Give running sequences their tokens; what is left of the budget.

        Those that decode come first: one token each. Of what is left, prompts of several callers have equal parts; the
        part of one who only waits is for the next that begins.
        """
        budget = self.max_num_batched_tokens
        part = 0
        left: dict[str, int] = {}
        for request in sorted(self.running, key=lambda candidate: (candidate.num_new_tokens > 1, candidate.turn)):
            if request.status is not RequestStatus.RUNNING:
                continue
            room = budget // request.num_next_rows
            if shares is not None and request.num_new_tokens > 1:
                part = part or max(1, budget // len(self._callers_with_prompts(shares)))
                room = min(room, left.setdefault(request.caller.id, part))
            num_tokens = min(request.num_next_tokens, room)
            if num_tokens and self._make_room(request, num_tokens, shares, scheduled, preempted):
                scheduled[request] = num_tokens
                budget -= num_tokens * request.num_next_rows
                if request.caller.id in left:
                    left[request.caller.id] -= num_tokens
        return budget

    def _callers_with_prompts(self, shares: Shares) -> set[str]:
        """Those of running prompts, and the one that is next."""
        callers = {request.caller.id for request in self.running if request.num_new_tokens > 1}
        return callers | ({self.waiting.peek(shares).caller.id} if self.waiting else set())

    def _make_room(
        self,
        request: Request,
        num_tokens: int,
        shares: Shares | None,
        scheduled: dict[Request, int],
        preempted: list[Request],
    ) -> bool:
        """Preempt the last by their turn until the sequence can grow; `False` when it had to go itself.

        As the sequence is among the candidates, none goes that should be served before it. What a caller has beyond its
        share goes before all else; it never is all that the caller has, so the first of all always goes on.
        """
        while not self.kv_cache.allocate_slots(request, request.num_computed_tokens + num_tokens):
            victim = max(self.running, key=lambda one: (0 if shares is None else shares.excess(one), one.turn))
            if shares is not None:
                shares.release(victim)
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
        self.waiting.add(request)

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

    def finish(self, request: Request, reason: FinishReason, *, is_sound: bool = True) -> None:
        """Remove a sequence for whatever reason; harmless when it has left already.

        What is computed of a sound one is kept, if `KVCacheManager.num_kept_tokens_of` says so.
        """
        if request.status is RequestStatus.FINISHED:
            return
        if request.status is RequestStatus.RUNNING:
            self.running.remove(request)
        else:
            self.waiting.remove(request)
            is_sound = False
        if is_sound:
            self.kv_cache.keep(request)
        else:
            self.kv_cache.free(request)
        request.status = RequestStatus.FINISHED
        request.finish_reason = reason
