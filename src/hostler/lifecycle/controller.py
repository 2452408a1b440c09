"""The state machine of loads, queues, leases and idle times: events in, effects out.

    UNLOADED ──► LOADING ──► READY ──► UNLOADING ──► UNLOADED         a model holds memory from LOADING
    FAILED ────►    │          │           ▲    └──► FAILED           until its worker has exited
                    └──────────┴───────────┘

Nothing here does anything, waits, or reads a clock, so every interleaving can be tested. What always holds:

- What a model needs is reserved before its load starts, and never more than the budget in all.
- A loading, leased or pinned model is never evicted. All who waited for a load get their lease in the transition that
  ends it.
- Every waiter gets exactly one answer, at its deadline at the latest.
- Who gets room, and who makes it, is decided by `rooms.settle` for all models at once.
- A load once started goes on when its waiters leave; one that waits for room is dropped with its last waiter.
- After `handle(event, now)`, `next_deadline()` is later than `now`.
"""

import math
from collections.abc import Mapping

from hostler.errors import HostlerError
from hostler.lifecycle import notes, refusals
from hostler.lifecycle.entry import ModelEntry, Waiter
from hostler.lifecycle.events import (
    FAILURES,
    Acquire,
    BudgetChanged,
    Drain,
    Effect,
    EstimateNeed,
    Event,
    ForOneModel,
    LeaveReason,
    Load,
    LoadFailed,
    LoadProgressed,
    LoadSucceeded,
    NeedEstimated,
    Profile,
    RefuseWaiter,
    RegistryChanged,
    Release,
    ReportUnloaded,
    ShutDown,
    StartLoad,
    StopWorker,
    Tick,
    Unload,
    Withdraw,
    WorkerExited,
    WorkerHung,
)
from hostler.lifecycle.ledger import Need
from hostler.lifecycle.limits import Limits
from hostler.lifecycle.outbox import Outbox
from hostler.lifecycle.policy import Option
from hostler.lifecycle.stable import Stable
from hostler.types import ANYBODY, Caller, ModelState


class Controller:
    """Owns the state of every model."""

    def __init__(self, limits: Limits, budget: Need, profiles: Mapping[str, Profile]) -> None:
        """`budget`: all that models may take, by resource; `profiles`: of all registered models, by id."""
        self._limits = limits
        self.stable = Stable(budget, profiles)
        """To read for everybody, to change for nobody else."""
        self._is_shutting_down = False
        self._num_arrived = 0
        self._now = 0.0
        self._outbox = Outbox()

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take in what happened; what has to be done about it, in that order."""
        self._now = now
        if isinstance(event, ForOneModel):
            self.stable.touch(event.model_id)
        self._take_in(event)
        self._expire_waiters()
        self._stop_those_due()
        self._estimate()
        self._make_room()
        for entry in self.stable.active:
            self._outbox.grant(entry, self._now)
        self.stable.let_rest()
        return self._outbox.take()

    def next_deadline(self) -> float | None:
        """When `Tick` has to be sent, unless another event comes first."""
        limits = self._limits
        times: list[float] = []
        for entry in self.stable.active:
            times.extend(waiter.deadline for waiter in (*entry.waiters.values(), *entry.unload_waiters.values()))
            if entry.state is ModelState.LOADING:
                times.append(entry.progressed + limits.load_stall_timeout_s)
            times.append(entry.idle_deadline(self._limits))
        times += self.stable.next_change(self._now, limits.turn_s)
        due = min(times, default=math.inf)
        return due if due < math.inf else None

    # --- events -----------------------------------------------------------------------------------------------------

    def _take_in(self, event: Event) -> None:
        match event:
            case Acquire() | Load():
                self._on_wanted(event)
            case Unload():
                self._on_unload(event)
            case Withdraw() | Release():
                self._on_gone(event)
            case LoadProgressed() | LoadSucceeded() | LoadFailed() | WorkerHung() | WorkerExited():
                self._on_worker(event)
            case NeedEstimated():
                self._on_estimated(event)
            case RegistryChanged():
                self._on_registry_changed(event)
            case BudgetChanged():
                self.stable.ledger.budget = dict(event.budget)
            case Drain():
                self._on_drain()
            case ShutDown():
                self._on_shut_down()
            case Tick():
                pass

    def _on_wanted(self, event: Acquire | Load) -> None:
        entry = self.stable.get(event.model_id)
        if self._is_shutting_down:
            self._outbox.put(RefuseWaiter(event.waiter_id, refusals.shutting_down()))
        elif entry is None or not entry.is_registered:
            self._outbox.put(RefuseWaiter(event.waiter_id, refusals.not_registered(event.model_id)))
        else:
            self._enqueue(entry, event)

    def _enqueue(self, entry: ModelEntry, event: Acquire | Load) -> None:
        has_to_reload = isinstance(event, Load) and event.force_reload and entry.state is ModelState.READY
        is_waiting = has_to_reload or not entry.is_granting
        if is_waiting and not entry.has_place_for(_caller_of(event), self._limits.max_waiting_per_model):
            self._outbox.turn_away(entry, event.waiter_id, refusals.queue_full(entry, self._now))
            return
        if isinstance(event, Acquire) and entry.is_cooling_down(self._now):
            self._outbox.turn_away(entry, event.waiter_id, refusals.cooling_down(entry, self._now))
            return
        if isinstance(event, Load):
            entry.retry_at = -math.inf
        if has_to_reload and entry.leaving is None:
            self._let_leave(entry, LeaveReason.RELOADED)
        if is_waiting:
            self._outbox.put(notes.queued(entry, len(entry.waiters)))
        entry.waiters[event.waiter_id] = self._waiter(event, wants_lease=isinstance(event, Acquire))
        # Now, and not after room was made for others: this request may be what keeps an idle model in memory.
        self._outbox.grant(entry, self._now)

    def _on_unload(self, event: Unload) -> None:
        entry = self.stable.get(event.model_id)
        if entry is None or not entry.is_resident:
            self._outbox.put(ReportUnloaded(event.waiter_id, was_loaded=False))
            return
        entry.unload_waiters[event.waiter_id] = self._waiter(event, wants_lease=False)
        if entry.state is ModelState.LOADING:
            self._outbox.refuse_all(entry, refusals.unloaded(entry.model_id))
            self._stop(entry, LeaveReason.UNLOADED)
        elif entry.state is ModelState.READY and event.is_forced:
            self._stop(entry, LeaveReason.UNLOADED)
        elif entry.state is ModelState.READY and entry.leaving is None:
            self._let_leave(entry, LeaveReason.UNLOADED)

    def _on_gone(self, event: Withdraw | Release) -> None:
        if (entry := self.stable.get(event.model_id)) is None:
            return
        entry.waiters.pop(event.waiter_id, None)
        entry.unload_waiters.pop(event.waiter_id, None)
        if event.waiter_id in entry.leases:
            entry.leases.remove(event.waiter_id)
            entry.last_used = self._now
            if entry.state is ModelState.READY and not entry.leases:
                entry.idle_since = self._now

    def _on_estimated(self, event: NeedEstimated) -> None:
        entry = self.stable.get(event.model_id)
        if entry is None or not entry.is_estimating or entry.num_estimates != event.number:
            return
        entry.is_estimating = False
        entry.options = event.options
        if entry.load_s is None:
            entry.load_s = event.load_s

    def _on_worker(self, event: LoadProgressed | LoadSucceeded | LoadFailed | WorkerHung | WorkerExited) -> None:
        entry = self.stable.get(event.model_id)
        if entry is None or entry.generation != event.generation or not entry.is_resident:
            return
        match event:
            case WorkerExited():
                self._on_exited(entry, event.reason, event.num_lost)
            case WorkerHung():
                self._on_hung(entry)
            case _ if entry.state is not ModelState.LOADING:
                return  # it was told to stop before it could say so
            case LoadProgressed():
                entry.progressed = self._now
            case LoadSucceeded():
                self._on_loaded(entry, event.need, event.once_s)
            case LoadFailed():
                self._fail_load(entry, event.error)
                self._stop(entry, LeaveReason.LOAD_FAILED)

    def _on_loaded(self, entry: ModelEntry, need: Need | None, once_s: float) -> None:
        entry.state = ModelState.READY
        took_s = self._now - entry.load_started
        entry.load_s = max(0.0, took_s - once_s)
        entry.ready_since = entry.idle_since = entry.last_used = self._now
        entry.last_error = entry.last_failure = None
        entry.retry_at = -math.inf
        self._outbox.put(notes.loaded(entry, took_s, self.stable.ledger.held_by(entry.model_id), need))
        if need is not None:
            self.stable.ledger.correct(entry.model_id, need)
        # Now, and not after room was made for others: what has just been loaded must not be their victim.
        self._outbox.grant(entry, self._now)

    def _on_hung(self, entry: ModelEntry) -> None:
        if entry.state is ModelState.READY:
            entry.last_error = "it had requests and made no step, and was ended"
            entry.count_failure(self._now, self._limits)
            self._stop(entry, LeaveReason.HUNG)

    def _on_exited(self, entry: ModelEntry, reason: str, num_lost: int) -> None:
        if entry.state is ModelState.LOADING:
            self._fail_load(entry, refusals.worker_ended(entry.model_id, reason))
        elif entry.state is ModelState.READY:
            entry.last_error = f"its process ended: {reason}"
            self._outbox.put(notes.died(entry, reason, num_lost, entry.count_failure(self._now, self._limits)))
        else:
            self._outbox.put(notes.unloaded(entry, reason))
            if entry.leaving not in FAILURES:
                entry.num_failures = 0
        self.stable.ledger.release(entry.model_id)
        entry.state = ModelState.FAILED if entry.has_failed else ModelState.UNLOADED
        entry.has_failed = False
        entry.leases.clear()
        entry.leaving = entry.yields_to = entry.lacking = entry.options = None
        entry.keep_alive_s = entry.asked_is_pinned = None
        entry.ready_since = entry.idle_since = None
        self._outbox.report_unloaded(entry)
        if not entry.is_registered:
            self.stable.forget(entry.model_id)

    def _on_registry_changed(self, event: RegistryChanged) -> None:
        for model_id, profile in event.profiles.items():
            entry = self.stable.add(model_id)
            entry.is_registered = True
            entry.profile = profile
        removed = [entry.model_id for entry in self.stable if entry.model_id not in event.profiles]
        for model_id in sorted({*removed, *event.changed}):
            self.stable.touch(model_id)
            entry = self.stable[model_id]
            entry.options = None
            # One that is under way is of the model as it was.
            entry.is_estimating = False
            entry.retry_at = -math.inf
            if model_id in removed:
                entry.is_registered = False
                self._outbox.refuse_all(entry, refusals.not_registered(model_id))
            if entry.state is ModelState.LOADING:
                self._stop(entry, LeaveReason.REGISTRY_CHANGED)
            elif entry.state is ModelState.READY and entry.leaving is None:
                self._let_leave(entry, LeaveReason.REGISTRY_CHANGED)
            elif not entry.is_resident and not entry.is_registered:
                self.stable.forget(model_id)

    def _on_drain(self) -> None:
        self._is_shutting_down = True
        for entry in self.stable.active:
            self._outbox.refuse_all(entry, refusals.shutting_down())
            if entry.state is ModelState.LOADING:
                self._stop(entry, LeaveReason.SHUTDOWN)

    def _on_shut_down(self) -> None:
        self._on_drain()
        for entry in self.stable.active:
            if entry.state is ModelState.READY:
                self._stop(entry, LeaveReason.SHUTDOWN)

    # --- what follows from any event --------------------------------------------------------------------------------

    def _expire_waiters(self) -> None:
        for entry in self.stable.active:
            for waiter in [waiter for waiter in entry.waiters.values() if waiter.deadline <= self._now]:
                del entry.waiters[waiter.waiter_id]
                error = refusals.wait_timeout(entry, self.stable.in_memory, self._now - waiter.since, self._now)
                self._outbox.turn_away(entry, waiter.waiter_id, error)
            for waiter in [waiter for waiter in entry.unload_waiters.values() if waiter.deadline <= self._now]:
                del entry.unload_waiters[waiter.waiter_id]
                error = refusals.unload_timeout(entry, self._now - waiter.since, self._now)
                self._outbox.put(RefuseWaiter(waiter.waiter_id, error))

    def _stop_those_due(self) -> None:
        """Those that drained, idled or stalled."""
        stall_s = self._limits.load_stall_timeout_s
        for entry in self.stable.active:
            if entry.state is ModelState.LOADING and entry.progressed + stall_s <= self._now:
                self._fail_load(entry, refusals.stalled(entry.model_id, stall_s))
                self._stop(entry, LeaveReason.STALLED)
            elif entry.state is ModelState.READY and not entry.leases and entry.leaving is not None:
                self._stop(entry, entry.leaving)
            elif entry.idle_deadline(self._limits) <= self._now:
                self._stop(entry, LeaveReason.IDLE)

    def _estimate(self) -> None:
        """Before room is looked for, what is needed must be known."""
        for entry in self.stable.active:
            if entry.wants_estimate:
                entry.is_estimating = True
                entry.num_estimates += 1
                self._outbox.put(EstimateNeed(entry.model_id, entry.num_estimates))

    def _make_room(self) -> None:
        settlement = self.stable.settlement(self._now, self._limits.turn_s)
        for model_id in settlement.impossible:
            entry = self.stable[model_id]
            error = refusals.too_large(entry, self.stable.ledger.budget, self.stable.in_memory)
            self._outbox.refuse_all(entry, error)
            entry.options = None
        for model_id, option in settlement.starts:
            self._start_load(self.stable[model_id], option)
        for victim, for_model in settlement.evictions:
            self._stop(self.stable[victim], LeaveReason.EVICTED, for_model)
        for model_id, lacking in settlement.lacking.items():
            self._note_waiting(self.stable[model_id], lacking)
        for entry in self.stable.active:
            yields_to = settlement.yields.get(entry.model_id)
            if yields_to is not None and entry.yields_to is None:
                self._outbox.put(notes.yielding(entry, yields_to))
            entry.yields_to = yields_to

    # --- building blocks --------------------------------------------------------------------------------------------

    def _waiter(self, event: Acquire | Load | Unload, *, wants_lease: bool) -> Waiter:
        self._num_arrived += 1
        deadline = self._now + self._limits.acquire_timeout_s
        keep_alive_s = None if isinstance(event, Unload) else event.keep_alive_s
        is_pinned = event.is_pinned if isinstance(event, Load) else None
        order, caller = self._num_arrived, _caller_of(event)
        return Waiter(event.waiter_id, self._now, deadline, order, wants_lease, keep_alive_s, is_pinned, caller)

    def _start_load(self, entry: ModelEntry, option: Option) -> None:
        entry.generation += 1
        entry.state = ModelState.LOADING
        entry.load_started = entry.progressed = self._now
        entry.device = option.device
        entry.lacking = None
        self.stable.ledger.reserve(entry.model_id, option.need)
        self._outbox.put(notes.loading(entry, option))
        self._outbox.put(StartLoad(entry.model_id, entry.generation, option))

    def _fail_load(self, entry: ModelEntry, error: HostlerError) -> None:
        entry.has_failed = True
        entry.last_error = error.message
        entry.last_failure = error
        cooldown_s = entry.count_failure(self._now, self._limits)
        if error.retryable and error.retry_after_s is None:
            error.retry_after_s = cooldown_s
        self._outbox.put(notes.load_failed(entry, error, cooldown_s))
        self._outbox.refuse_all(entry, error)

    def _let_leave(self, entry: ModelEntry, reason: LeaveReason) -> None:
        """When its leases have ended."""
        entry.leaving = reason
        if entry.leases:
            self._outbox.put(notes.leaving(self.stable.resident(entry), reason, self._now, drains=True))

    def _stop(self, entry: ModelEntry, reason: LeaveReason, for_model: str | None = None) -> None:
        self._outbox.put(notes.leaving(self.stable.resident(entry), reason, self._now, for_model))
        entry.state = ModelState.UNLOADING
        entry.leaving = reason
        entry.yields_to = None
        entry.ready_since = entry.idle_since = None
        self._outbox.put(StopWorker(entry.model_id, entry.generation, reason))

    def _note_waiting(self, entry: ModelEntry, lacking: Need) -> None:
        """Once for each thing that it waits for."""
        if entry.lacking != lacking:
            entry.lacking = lacking
            self._outbox.put(notes.waiting(entry, lacking, self.stable.in_memory, self._now))


def _caller_of(event: Acquire | Load | Unload) -> Caller:
    """Those who command models share one turn."""
    return event.caller if isinstance(event, Acquire) else ANYBODY
