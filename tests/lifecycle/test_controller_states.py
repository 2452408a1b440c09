"""The controller against every order of events that hypothesis can think of."""

from dataclasses import dataclass
from typing import Literal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hostler.errors import ModelLoadError
from hostler.lifecycle.controller import Controller, Limits
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
from hostler.types import ModelState

LIMITS = Limits(
    max_concurrent_models=2,
    max_waiting_per_model=3,
    acquire_timeout_s=30.0,
    load_stall_timeout_s=20.0,
    keep_alive_s=15.0,
    turn_s=5.0,
)
MODEL_IDS = ["a", "b", "c", "d"]

model_ids = st.sampled_from(MODEL_IDS)
picks = st.integers(0, 99)


@dataclass
class FakeProcess:
    generation: int
    phase: Literal["loading", "loaded", "stopping"] = "loading"


@dataclass
class Asked:
    """A waiter, as the world outside sees it."""

    model_id: str
    wants: Literal["lease", "loaded", "unloaded"]
    deadline: float
    is_answered: bool = False


class World(RuleBasedStateMachine):
    """Sends events as a manager would, carries out the effects, and checks each."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.controller = Controller(LIMITS, MODEL_IDS)
        self.registered = set(MODEL_IDS)
        self.processes: dict[str, FakeProcess] = {}
        self.asked: dict[int, Asked] = {}
        self.leases: dict[int, str] = {}
        self.has_shut_down = False

    def send(self, event: Event) -> list[Effect]:
        effects = self.controller.handle(event, self.now)
        for effect in effects:
            self.carry_out(effect)
        return effects

    def carry_out(self, effect: Effect) -> None:
        match effect:
            case StartLoad():
                self.check_start(effect)
            case StopWorker():
                self.check_stop(effect)
            case GrantLease():
                process = self.processes[effect.model_id]
                assert (process.generation, process.phase) == (effect.generation, "loaded")
                self.answer(effect.waiter_id, "lease")
                self.leases[effect.waiter_id] = effect.model_id
            case ReportLoaded():
                self.answer(effect.waiter_id, "loaded")
            case ReportUnloaded():
                self.answer(effect.waiter_id, "unloaded")
            case RefuseWaiter():
                self.answer(effect.waiter_id, self.asked[effect.waiter_id].wants)

    def check_start(self, effect: StartLoad) -> None:
        assert effect.model_id in self.registered
        assert effect.model_id not in self.processes, "one process per model"
        assert len(self.processes) < LIMITS.max_concurrent_models, "a slot is free only when its worker has exited"
        assert not self.has_shut_down
        self.processes[effect.model_id] = FakeProcess(effect.generation)

    def check_stop(self, effect: StopWorker) -> None:
        process = self.processes[effect.model_id]
        assert process.generation == effect.generation
        assert process.phase != "stopping", "told once"
        if effect.reason is not LeaveReason.SHUTDOWN:
            assert effect.model_id not in self.leases.values(), "a leased model stays"
        if effect.reason in (LeaveReason.EVICTED, LeaveReason.IDLE):
            assert process.phase == "loaded", "a loading model stays"
        process.phase = "stopping"

    def answer(self, waiter_id: int, with_what: str) -> None:
        asked = self.asked[waiter_id]
        assert not asked.is_answered, "one answer each"
        assert asked.wants == with_what
        asked.is_answered = True

    def ask(self, model_id: str, wants: Literal["lease", "loaded", "unloaded"]) -> int:
        waiter_id = len(self.asked) + 1
        self.asked[waiter_id] = Asked(model_id, wants, self.now + LIMITS.acquire_timeout_s)
        return waiter_id

    # --- what requests do -------------------------------------------------------------------------------------------

    @rule(model_id=model_ids, timer_is_late_s=st.sampled_from([0.0, 0.0, 1.0, 16.0]))
    def acquire(self, model_id: str, timer_is_late_s: float) -> None:
        entry = self.controller.entry(model_id)
        is_ready = entry is not None and entry.is_granting
        self.now += timer_is_late_s
        waiter_id = self.ask(model_id, "lease")
        self.send(Acquire(waiter_id, model_id))
        assert not is_ready or waiter_id in self.leases, "a ready model answers at once"

    @rule(model_id=model_ids, force_reload=st.booleans())
    def load(self, model_id: str, force_reload: bool) -> None:
        self.send(Load(self.ask(model_id, "loaded"), model_id, force_reload))

    @rule(model_id=model_ids)
    def unload(self, model_id: str) -> None:
        self.send(Unload(self.ask(model_id, "unloaded"), model_id))

    @precondition(lambda self: self.asked)
    @rule(pick=picks)
    def withdraw(self, pick: int) -> None:
        waiter_id = list(self.asked)[pick % len(self.asked)]
        self.asked[waiter_id].is_answered = True
        self.leases.pop(waiter_id, None)
        self.send(Withdraw(waiter_id, self.asked[waiter_id].model_id))

    @precondition(lambda self: self.leases)
    @rule(pick=picks)
    def release(self, pick: int) -> None:
        waiter_id = list(self.leases)[pick % len(self.leases)]
        model_id = self.leases.pop(waiter_id)
        self.send(Release(waiter_id, model_id))

    @precondition(lambda self: self.asked)
    @rule(pick=picks)
    def release_again(self, pick: int) -> None:
        waiter_id = list(self.asked)[pick % len(self.asked)]
        if self.asked[waiter_id].is_answered and waiter_id not in self.leases:
            self.send(Release(waiter_id, self.asked[waiter_id].model_id))

    # --- what processes do ------------------------------------------------------------------------------------------

    @precondition(lambda self: self.processes)
    @rule(pick=picks, what=st.sampled_from(["progress", "succeed", "succeed", "fail"]))
    def report(self, pick: int, what: str) -> None:
        """Also by a process that was told to stop, whose word may have been on its way."""
        model_id = list(self.processes)[pick % len(self.processes)]
        process = self.processes[model_id]
        if process.phase == "loaded":
            return
        if what == "progress":
            self.send(LoadProgressed(model_id, process.generation))
        elif what == "succeed":
            if process.phase == "loading":
                process.phase = "loaded"
            self.send(LoadSucceeded(model_id, process.generation))
        else:
            self.send(LoadFailed(model_id, process.generation, ModelLoadError("broken")))

    @precondition(lambda self: self.processes)
    @rule(pick=picks)
    def exit(self, pick: int) -> None:
        """Because it was told to, or by a crash at any time."""
        self.exit_of(list(self.processes)[pick % len(self.processes)])

    def exit_of(self, model_id: str) -> None:
        process = self.processes.pop(model_id)
        # The leases of a dead worker are void; their holders release them later all the same (`release_again`).
        self.leases = {waiter_id: leased for waiter_id, leased in self.leases.items() if leased != model_id}
        self.send(WorkerExited(model_id, process.generation, "exit status 0"))

    @rule(model_id=model_ids, stale_by=st.integers(1, 3))
    def report_of_an_earlier_worker(self, model_id: str, stale_by: int) -> None:
        current = self.processes[model_id].generation if model_id in self.processes else 1
        assert self.send(WorkerExited(model_id, current - stale_by, "long ago")) == []

    # --- what operators do, and time --------------------------------------------------------------------------------

    @rule(model_id=model_ids, is_changed=st.booleans())
    def replace_registry(self, model_id: str, is_changed: bool) -> None:
        one, none = frozenset([model_id]), frozenset[str]()
        if model_id not in self.registered:
            self.registered.add(model_id)
            self.send(RegistryChanged(one, none, none))
        elif is_changed:
            self.send(RegistryChanged(none, none, one))
        else:
            self.registered.remove(model_id)
            self.send(RegistryChanged(none, one, none))

    @rule(seconds=st.floats(0, 12))
    def let_time_pass(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := self.controller.next_deadline()) is not None and due <= end:
            self.now = due
            self.send(Tick())
        self.now = end

    @precondition(lambda self: len(self.asked) > 30)
    @rule()
    def shut_down(self) -> None:
        self.has_shut_down = True
        self.send(ShutDown())

    # --- what always holds ------------------------------------------------------------------------------------------

    @invariant()
    def nobody_waits_past_the_deadline(self) -> None:
        assert all(asked.is_answered or asked.deadline > self.now for asked in self.asked.values())

    @invariant()
    def the_next_deadline_lies_ahead(self) -> None:
        due = self.controller.next_deadline()
        assert due is None or due > self.now

    @invariant()
    def queues_are_bounded(self) -> None:
        assert all(len(entry.waiters) <= LIMITS.max_waiting_per_model for entry in self.controller.entries())

    @invariant()
    def the_controller_counts_the_leases_there_are(self) -> None:
        counted = {waiter_id: entry.model_id for entry in self.controller.entries() for waiter_id in entry.leases}
        assert counted == self.leases

    @invariant()
    def a_ready_model_keeps_nobody_waiting_but_to_leave(self) -> None:
        for entry in self.controller.entries():
            assert not (entry.is_granting and entry.waiters)

    @invariant()
    def no_slot_is_free_or_idle_while_a_model_waits_for_one(self) -> None:
        num_waiting = sum(entry.wants_room for entry in self.controller.entries())
        num_unloading = sum(entry.state is ModelState.UNLOADING for entry in self.controller.entries())
        if num_waiting > num_unloading:
            assert len(self.processes) == LIMITS.max_concurrent_models
            for entry in self.controller.entries():
                assert entry.state is not ModelState.READY or entry.leases

    @invariant()
    def an_overdue_model_has_somebody_make_way(self) -> None:
        entries = list(self.controller.entries())
        overdue = [
            entry for entry in entries if entry.wants_room and entry.oldest_waiter.since + LIMITS.turn_s <= self.now
        ]
        had_their_turn = [
            entry
            for entry in entries
            if entry.ready_since is not None and entry.ready_since + LIMITS.turn_s <= self.now
        ]
        if overdue and had_their_turn:
            assert any(entry.yields_to or entry.leaving for entry in entries)

    def teardown(self) -> None:
        """After quiet, everybody has an answer and no lease is left."""
        for _ in range(200):
            self.calm_down()
            if all(asked.is_answered for asked in self.asked.values()) and not self.leases:
                break
        assert all(asked.is_answered for asked in self.asked.values())
        self.the_controller_counts_the_leases_there_are()

    def calm_down(self) -> None:
        """Every load succeeds, every process told to stop ends, every request is short. No time passes."""
        for model_id, process in list(self.processes.items()):
            if process.phase == "loading":
                process.phase = "loaded"
                self.send(LoadSucceeded(model_id, process.generation))
        for model_id, process in list(self.processes.items()):
            if process.phase == "stopping":
                self.exit_of(model_id)
        while self.leases:
            self.release(0)


TestWorld = World.TestCase
TestWorld.settings = settings(max_examples=150, stateful_step_count=60)
