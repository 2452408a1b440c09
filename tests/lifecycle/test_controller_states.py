"""The controller against every order of events that hypothesis can think of."""

from dataclasses import dataclass
from typing import Literal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hostler.errors import ModelLoadError
from hostler.lifecycle.controller import Controller
from hostler.lifecycle.events import (
    Acquire,
    Effect,
    EstimateNeed,
    Event,
    GrantLease,
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
    ReportLoaded,
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
from hostler.lifecycle.ledger import HOST, PLACES, Need, covers, minus, plus
from hostler.lifecycle.limits import Limits
from hostler.lifecycle.policy import Option
from hostler.types import ModelState

LIMITS = Limits(
    max_waiting_per_model=3,
    acquire_timeout_s=30.0,
    load_stall_timeout_s=20.0,
    keep_alive_s=15.0,
    turn_s=5.0,
)
BUDGET: Need = {HOST: 100, "cuda:0": 50, PLACES: 3}
OPTIONS = {
    "a": [Option("cpu", {HOST: 40, PLACES: 1})],
    "b": [Option("cpu", {HOST: 40, PLACES: 1})],
    "c": [Option("cuda:0", {"cuda:0": 30, HOST: 10, PLACES: 1})],
    "d": [Option("cpu", {HOST: 70, PLACES: 1})],
    "e": [Option("cuda:0", {"cuda:0": 40, HOST: 10, PLACES: 1})],
}
MODEL_IDS = list(OPTIONS)

model_ids = st.sampled_from(MODEL_IDS)
picks = st.integers(0, 99)


@dataclass
class FakeProcess:
    generation: int
    holds: Need
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
        self.controller = Controller(LIMITS, BUDGET, dict.fromkeys(MODEL_IDS, Profile()))
        self.registered = dict.fromkeys(MODEL_IDS, Profile())
        self.questions: list[EstimateNeed] = []
        self.processes: dict[str, FakeProcess] = {}
        self.asked: dict[int, Asked] = {}
        self.leases: dict[int, str] = {}
        self.has_shut_down = False
        self.is_forcing = False

    def send(self, event: Event) -> list[Effect]:
        effects = self.controller.handle(event, self.now)
        for effect in effects:
            self.carry_out(effect)
        return effects

    def carry_out(self, effect: Effect) -> None:
        match effect:
            case EstimateNeed():
                self.questions.append(effect)
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
        held = [process.holds for process in self.processes.values()]
        assert covers(minus(BUDGET, *held), effect.option.need), "room is free only when its worker has exited"
        assert not self.has_shut_down
        self.processes[effect.model_id] = FakeProcess(effect.generation, effect.option.need)

    def check_stop(self, effect: StopWorker) -> None:
        process = self.processes[effect.model_id]
        assert process.generation == effect.generation
        assert process.phase != "stopping", "told once"
        if effect.reason not in (LeaveReason.SHUTDOWN, LeaveReason.HUNG) and not self.is_forcing:
            assert effect.model_id not in self.leases.values(), "a leased model stays"
        if effect.reason in (LeaveReason.EVICTED, LeaveReason.IDLE):
            assert process.phase == "loaded", "a loading model stays"
            assert not self.registered[effect.model_id].is_pinned, "a pinned model stays"
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
        entry = self.controller.stable.get(model_id)
        is_ready = entry is not None and entry.is_granting
        self.now += timer_is_late_s
        waiter_id = self.ask(model_id, "lease")
        self.send(Acquire(waiter_id, model_id))
        assert not is_ready or waiter_id in self.leases, "a ready model answers at once"

    @rule(model_id=model_ids, force_reload=st.booleans())
    def load(self, model_id: str, force_reload: bool) -> None:
        self.send(Load(self.ask(model_id, "loaded"), model_id, force_reload))

    @rule(model_id=model_ids, is_forced=st.booleans())
    def unload(self, model_id: str, is_forced: bool) -> None:
        self.is_forcing = is_forced
        self.send(Unload(self.ask(model_id, "unloaded"), model_id, is_forced))
        self.is_forcing = False

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

    @precondition(lambda self: self.questions)
    @rule(pick=picks, load_s=st.sampled_from([None, 2.0]))
    def estimate(self, pick: int, load_s: float | None) -> None:
        """Some time or other, and also for a model that has changed since."""
        question = self.questions.pop(pick % len(self.questions))
        self.send(NeedEstimated(question.model_id, question.number, OPTIONS[question.model_id], load_s))

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
            need = None
            if process.phase == "loading":
                process.phase = "loaded"
                need = self.measure(process, pick)
            self.send(LoadSucceeded(model_id, process.generation, need))
        else:
            self.send(LoadFailed(model_id, process.generation, ModelLoadError("broken")))

    def measure(self, process: FakeProcess, pick: int) -> Need | None:
        """What it really takes: less than was reserved, or more, or nobody can tell."""
        if pick % 3 == 0:
            return None
        need = {
            resource: amount if resource == PLACES else amount + pick % 21 - 10
            for resource, amount in process.holds.items()
        }
        if pick % 3 == 1:
            process.holds = {resource: min(amount, process.holds[resource]) for resource, amount in need.items()}
            return process.holds
        return need

    @precondition(lambda self: self.processes)
    @rule(pick=picks)
    def hang(self, pick: int) -> None:
        model_id = list(self.processes)[pick % len(self.processes)]
        if self.processes[model_id].phase == "loaded":
            self.send(WorkerHung(model_id, self.processes[model_id].generation))

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

    @rule(model_id=model_ids, what=st.sampled_from(["remove", "change", "pin"]))
    def replace_registry(self, model_id: str, what: str) -> None:
        changed = frozenset[str]()
        if model_id not in self.registered:
            self.registered[model_id] = Profile()
        elif what == "change":
            changed = frozenset([model_id])
        elif what == "remove":
            del self.registered[model_id]
        else:
            is_pinned = not self.registered[model_id].is_pinned
            self.registered[model_id] = Profile(is_pinned, keep_alive_s=3.0)
        self.send(RegistryChanged(dict(self.registered), changed))

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
        assert all(len(entry.waiters) <= LIMITS.max_waiting_per_model for entry in self.controller.stable)

    @invariant()
    def the_controller_counts_the_leases_there_are(self) -> None:
        counted = {waiter_id: entry.model_id for entry in self.controller.stable for waiter_id in entry.leases}
        assert counted == self.leases

    @invariant()
    def a_ready_model_keeps_nobody_waiting_but_to_leave(self) -> None:
        for entry in self.controller.stable:
            assert not (entry.is_granting and entry.waiters)

    @invariant()
    def never_more_is_reserved_than_there_is(self) -> None:
        free = self.controller.stable.ledger.free
        assert all(amount >= 0 for amount in free.values()), free

    @invariant()
    def what_has_no_process_holds_nothing(self) -> None:
        for entry in self.controller.stable:
            assert bool(self.controller.stable.ledger.held_by(entry.model_id)) == (entry.model_id in self.processes)

    @invariant()
    def nobody_waits_longest_for_room_that_is_there_or_could_be(self) -> None:
        waiting = [entry for entry in self.controller.stable if entry.wants_room]
        if not waiting:
            return
        entry = min(waiting, key=lambda candidate: candidate.oldest_waiter.order)
        held = self.controller.stable.ledger.held_by
        residents = [other.as_resident(held(other.model_id)) for other in self.controller.stable if other.is_resident]
        coming = [resident.holds for resident in residents if resident.is_going()]
        idle = [
            resident.holds
            for resident in residents
            if resident.state is ModelState.READY and not resident.num_leases and not resident.is_going()
            if not resident.is_pinned and resident.dwells_until(LIMITS.turn_s) <= self.now
        ]
        free = self.controller.stable.ledger.free
        (option,) = entry.options or ()
        assert not covers(free, option.need), "room that is free is given at once"
        if not covers(plus(free, *coming), option.need):
            assert not covers(plus(free, *coming, *idle), option.need), "nor is it left to idle models"

    @invariant()
    def an_overdue_model_has_somebody_make_way(self) -> None:
        entries = list(self.controller.stable)
        overdue = [
            entry for entry in entries if entry.wants_room and entry.oldest_waiter.since + LIMITS.turn_s <= self.now
        ]
        lacked = {resource for entry in overdue for resource in entry.lacking or {}}
        had_their_turn = [
            entry
            for entry in entries
            if entry.leases and entry.ready_since is not None and entry.ready_since + LIMITS.turn_s <= self.now
            if not entry.profile.is_pinned and lacked & set(self.controller.stable.ledger.held_by(entry.model_id))
        ]
        if had_their_turn:
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
        """Every question is answered, every load succeeds, every process told to stop ends, every request is short.

        A moment passes, so that no model has to stay for the sake of its load.
        """
        self.now += 0.1
        self.send(Tick())
        while self.questions:
            self.estimate(0, None)
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
