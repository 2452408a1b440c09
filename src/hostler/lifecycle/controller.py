"""The state machine of loads, queues, leases and idle times: events in, effects out.

    UNLOADED ──► LOADING ──► READY ──► UNLOADING ──► UNLOADED         a model keeps its slot from LOADING
    FAILED ────►    │          │           ▲    └──► FAILED           until its worker has exited
                    └──────────┴───────────┘

Nothing here does anything, waits, or reads a clock, so every interleaving can be tested. What always holds:

- A loading or leased model is never evicted. All who waited for a load get their lease in the transition that ends it.
- Every waiter gets exactly one answer, at its deadline at the latest.
- Models that wait for room get it in the order of their oldest request; `policy.yielding_for` keeps a busy model from
  holding its slot for ever.
- A load once started goes on when its waiters leave; one that waits for room is dropped with its last waiter.
- After `handle(event, now)`, `next_deadline()` is later than `now`.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from hostler.errors import HostlerError
from hostler.lifecycle import refusals
from hostler.lifecycle.entry import ModelEntry, Waiter
from hostler.lifecycle.events import (
    Acquire,
    Effect,
    Event,
    GrantLease,
    LeaveReason,
    Load,
    LoadFailed,
    LoadProgressed,
    LoadSucceeded,
    RefuseWaiter,
    RegistryChanged,
    Release,
    ReportLoaded,
    ReportUnloaded,
    ShutDown,
    StartLoad,
    StopWorker,
    Tick,
    Unload,
    Withdraw,
    WorkerExited,
)
from hostler.lifecycle.policy import victims_for, yielding_for
from hostler.types import ModelState


@dataclass(frozen=True)
class Limits:
    """What the controller keeps to."""

    max_concurrent_models: int
    max_waiting_per_model: int
    acquire_timeout_s: float
    load_stall_timeout_s: float
    keep_alive_s: float | None
    """Idle seconds before a model leaves; `None`: it stays."""
    turn_s: float = 5.0
    """See `policy.yielding_for`. Longer than most answers and than a warm load, so that swapping between two busy
    models costs little; shorter than people's patience."""


class Controller:
    """Owns the state of every model."""

    def __init__(self, limits: Limits, model_ids: Iterable[str]) -> None:
        self._limits = limits
        self._entries = {model_id: ModelEntry(model_id) for model_id in model_ids}
        self._is_shutting_down = False
        self._num_arrived = 0
        self._now = 0.0
        self._effects: list[Effect] = []

    def entry(self, model_id: str) -> ModelEntry | None:
        """To read, never to change; `None` for a model that was never registered, or is forgotten."""
        return self._entries.get(model_id)

    def entries(self) -> Iterable[ModelEntry]:
        """To read, never to change."""
        return self._entries.values()

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take in what happened; what has to be done about it, in that order."""
        self._now = now
        self._effects = []
        self._take_in(event)
        self._expire_waiters()
        self._stop_those_due()
        self._make_room()
        self._choose_yielding()
        for entry in self._entries.values():
            self._answer_waiters(entry)
        return self._effects

    def next_deadline(self) -> float | None:
        """When `Tick` has to be sent, unless another event comes first."""
        limits = self._limits
        times: list[float] = []
        for entry in self._entries.values():
            times.extend(waiter.deadline for waiter in (*entry.waiters.values(), *entry.unload_waiters.values()))
            if entry.state is ModelState.LOADING:
                times.append(entry.progressed + limits.load_stall_timeout_s)
            times.append(self._idle_deadline(entry))
        if waiting := self._waiting_for_room():
            turns = [entry.oldest_waiter.since for entry in waiting]
            turns += [entry.ready_since for entry in self._entries.values() if entry.ready_since is not None]
            times.extend(start + limits.turn_s for start in turns if start + limits.turn_s > self._now)
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
            case LoadProgressed() | LoadSucceeded() | LoadFailed() | WorkerExited():
                self._on_worker(event)
            case RegistryChanged():
                self._on_registry_changed(event)
            case ShutDown():
                self._on_shut_down()
            case Tick():
                pass

    def _on_wanted(self, event: Acquire | Load) -> None:
        entry = self._entries.get(event.model_id)
        if self._is_shutting_down:
            self._refuse(event.waiter_id, refusals.shutting_down())
        elif entry is None or not entry.is_registered:
            self._refuse(event.waiter_id, refusals.not_registered(event.model_id))
        else:
            self._enqueue(entry, event)

    def _enqueue(self, entry: ModelEntry, event: Acquire | Load) -> None:
        has_to_reload = isinstance(event, Load) and event.force_reload and entry.state is ModelState.READY
        is_waiting = has_to_reload or not entry.is_granting
        if is_waiting and len(entry.waiters) >= self._limits.max_waiting_per_model:
            self._refuse(event.waiter_id, refusals.queue_full(entry, self._now))
            return
        if has_to_reload:
            entry.leaving = entry.leaving or LeaveReason.RELOADED
        entry.waiters[event.waiter_id] = self._waiter(event.waiter_id, isinstance(event, Acquire))
        # Now, and not after room was made for others: this request may be what keeps an idle model in memory.
        self._answer_waiters(entry)

    def _on_unload(self, event: Unload) -> None:
        entry = self._entries.get(event.model_id)
        if entry is None or not entry.is_resident:
            self._effects.append(ReportUnloaded(event.waiter_id, was_loaded=False))
            return
        entry.unload_waiters[event.waiter_id] = self._waiter(event.waiter_id, wants_lease=False)
        if entry.state is ModelState.LOADING:
            self._refuse_all(entry, refusals.unloaded(entry.model_id))
            self._stop(entry, LeaveReason.UNLOADED)
        elif entry.state is ModelState.READY:
            entry.leaving = entry.leaving or LeaveReason.UNLOADED

    def _on_gone(self, event: Withdraw | Release) -> None:
        if (entry := self._entries.get(event.model_id)) is None:
            return
        entry.waiters.pop(event.waiter_id, None)
        entry.unload_waiters.pop(event.waiter_id, None)
        if event.waiter_id in entry.leases:
            entry.leases.remove(event.waiter_id)
            entry.last_used = self._now
            if entry.state is ModelState.READY and not entry.leases:
                entry.idle_since = self._now

    def _on_worker(self, event: LoadProgressed | LoadSucceeded | LoadFailed | WorkerExited) -> None:
        entry = self._entries.get(event.model_id)
        if entry is None or entry.generation != event.generation or not entry.is_resident:
            return
        match event:
            case WorkerExited():
                self._on_exited(entry, event.reason)
            case _ if entry.state is not ModelState.LOADING:
                return  # it was told to stop before it could say so
            case LoadProgressed():
                entry.progressed = self._now
            case LoadSucceeded():
                self._on_loaded(entry)
            case LoadFailed():
                self._fail_load(entry, event.error)
                self._stop(entry, LeaveReason.LOAD_FAILED)

    def _on_loaded(self, entry: ModelEntry) -> None:
        entry.state = ModelState.READY
        entry.load_s = self._now - entry.load_started
        entry.ready_since = entry.idle_since = entry.last_used = self._now
        entry.last_error = None
        # Now, and not after room was made for others: what has just been loaded must not be their victim.
        self._answer_waiters(entry)

    def _on_exited(self, entry: ModelEntry, reason: str) -> None:
        if entry.state is ModelState.LOADING:
            self._fail_load(entry, refusals.worker_ended(entry.model_id, reason))
        elif entry.state is ModelState.READY:
            entry.last_error = f"its process ended: {reason}"
        entry.state = ModelState.FAILED if entry.has_failed else ModelState.UNLOADED
        entry.has_failed = False
        entry.leases.clear()
        entry.leaving = entry.yields_to = None
        entry.ready_since = entry.idle_since = None
        for waiter_id in entry.unload_waiters:
            self._effects.append(ReportUnloaded(waiter_id, was_loaded=True))
        entry.unload_waiters.clear()
        if not entry.is_registered:
            del self._entries[entry.model_id]

    def _on_registry_changed(self, event: RegistryChanged) -> None:
        for model_id in event.added:
            self._entries.setdefault(model_id, ModelEntry(model_id)).is_registered = True
        for model_id in sorted(event.removed | event.changed):
            entry = self._entries[model_id]
            if model_id in event.removed:
                entry.is_registered = False
                self._refuse_all(entry, refusals.not_registered(model_id))
            if entry.state is ModelState.LOADING:
                self._stop(entry, LeaveReason.REGISTRY_CHANGED)
            elif entry.state is ModelState.READY:
                entry.leaving = entry.leaving or LeaveReason.REGISTRY_CHANGED
            elif not entry.is_resident and not entry.is_registered:
                del self._entries[model_id]

    def _on_shut_down(self) -> None:
        self._is_shutting_down = True
        for entry in self._entries.values():
            self._refuse_all(entry, refusals.shutting_down())
            if entry.state in (ModelState.LOADING, ModelState.READY):
                self._stop(entry, LeaveReason.SHUTDOWN)

    # --- what follows from any event --------------------------------------------------------------------------------

    def _expire_waiters(self) -> None:
        for entry in self._entries.values():
            for waiter in [waiter for waiter in entry.waiters.values() if waiter.deadline <= self._now]:
                del entry.waiters[waiter.waiter_id]
                residents = [other for other in self._entries.values() if other.is_resident]
                waited_s = self._now - waiter.since
                self._refuse(waiter.waiter_id, refusals.wait_timeout(entry, residents, waited_s, self._now))
            for waiter in [waiter for waiter in entry.unload_waiters.values() if waiter.deadline <= self._now]:
                del entry.unload_waiters[waiter.waiter_id]
                waited_s = self._now - waiter.since
                self._refuse(waiter.waiter_id, refusals.unload_timeout(entry, waited_s, self._now))

    def _stop_those_due(self) -> None:
        """Those that drained, idled or stalled."""
        stall_s = self._limits.load_stall_timeout_s
        for entry in self._entries.values():
            if entry.state is ModelState.LOADING and entry.progressed + stall_s <= self._now:
                self._fail_load(entry, refusals.stalled(entry.model_id, stall_s))
                self._stop(entry, LeaveReason.STALLED)
            elif entry.state is ModelState.READY and not entry.leases and entry.leaving is not None:
                self._stop(entry, entry.leaving)
            elif self._idle_deadline(entry) <= self._now:
                self._stop(entry, LeaveReason.IDLE)

    def _make_room(self) -> None:
        num_without_slot = 0
        for entry in self._waiting_for_room():
            residents = [other.as_resident() for other in self._entries.values() if other.is_resident]
            if len(residents) < self._limits.max_concurrent_models:
                self._start_load(entry)
                continue
            num_without_slot += 1
            victims = victims_for(num_without_slot, residents, self._limits.max_concurrent_models)
            if victims is None:
                return  # and those behind it would need even more
            for model_id in victims:
                self._stop(self._entries[model_id], LeaveReason.EVICTED, for_model=entry.model_id)

    def _choose_yielding(self) -> None:
        waiting = self._waiting_for_room()
        residents = [entry.as_resident() for entry in self._entries.values() if entry.is_resident]
        waiting_since = [entry.oldest_waiter.since for entry in waiting]
        yielding = yielding_for(waiting_since, residents, self._now, self._limits.turn_s)
        for entry in self._entries.values():
            entry.yields_to = waiting[0].model_id if entry.model_id in yielding else None

    def _answer_waiters(self, entry: ModelEntry) -> None:
        """Give those who wait for a model that is ready, and stays, what they wait for."""
        if not entry.is_granting:
            return
        for waiter in entry.waiters.values():
            if waiter.wants_lease:
                entry.leases.add(waiter.waiter_id)
                entry.last_used = self._now
                entry.idle_since = None
                self._effects.append(GrantLease(waiter.waiter_id, entry.model_id, entry.generation))
            else:
                self._effects.append(ReportLoaded(waiter.waiter_id))
        entry.waiters.clear()

    # --- building blocks --------------------------------------------------------------------------------------------

    def _idle_deadline(self, entry: ModelEntry) -> float:
        keep_alive_s = self._limits.keep_alive_s
        if entry.idle_since is None or keep_alive_s is None:
            return math.inf
        return entry.idle_since + keep_alive_s

    def _waiting_for_room(self) -> list[ModelEntry]:
        """Models without a slot that somebody waits for, the longest waiting first."""
        waiting = [entry for entry in self._entries.values() if entry.wants_room]
        return sorted(waiting, key=lambda entry: entry.oldest_waiter.order)

    def _waiter(self, waiter_id: int, wants_lease: bool) -> Waiter:
        self._num_arrived += 1
        deadline = self._now + self._limits.acquire_timeout_s
        return Waiter(waiter_id, self._now, deadline, self._num_arrived, wants_lease)

    def _start_load(self, entry: ModelEntry) -> None:
        entry.generation += 1
        entry.state = ModelState.LOADING
        entry.load_started = entry.progressed = self._now
        self._effects.append(StartLoad(entry.model_id, entry.generation))

    def _fail_load(self, entry: ModelEntry, error: HostlerError) -> None:
        entry.has_failed = True
        entry.last_error = error.message
        self._refuse_all(entry, error)

    def _stop(self, entry: ModelEntry, reason: LeaveReason, for_model: str | None = None) -> None:
        entry.state = ModelState.UNLOADING
        entry.leaving = reason
        entry.yields_to = None
        entry.ready_since = entry.idle_since = None
        self._effects.append(StopWorker(entry.model_id, entry.generation, reason, for_model))

    def _refuse(self, waiter_id: int, error: HostlerError) -> None:
        self._effects.append(RefuseWaiter(waiter_id, error))

    def _refuse_all(self, entry: ModelEntry, error: HostlerError) -> None:
        for waiter_id in entry.waiters:
            self._refuse(waiter_id, error)
        entry.waiters.clear()
