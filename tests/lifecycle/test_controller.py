"""The controller in single scenes; `test_controller_states` has the rules that always hold."""

import math

import pytest

from hostler.errors import ModelTooLargeError, QueueFullError, WaitTimeoutError
from hostler.lifecycle.events import (
    Acquire,
    GrantLease,
    LeaveReason,
    Load,
    LoadSucceeded,
    NoteKind,
    Profile,
    RefuseWaiter,
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
from hostler.lifecycle.ledger import HOST, PLACES
from hostler.types import Caller
from tests.lifecycle.driver import DrivenController, load, make_controller, only_error, option


def test_what_was_just_loaded_serves_its_waiters_before_it_may_leave() -> None:
    controller = make_controller()
    controller.handle(Acquire(1, "a"), 0.0)
    controller.handle(Acquire(2, "b"), 0.0)
    assert controller.handle(LoadSucceeded("a", 1), 1.0) == [GrantLease(1, "a", 1)]
    assert controller.handle(Release(1, "a"), 2.0) == [StopWorker("a", 1, LeaveReason.EVICTED)]
    assert controller.handle(WorkerExited("a", 1, "exit status 0"), 3.0) == [StartLoad("b", 1, option())]


def test_a_slot_is_free_only_when_its_worker_has_exited() -> None:
    controller = make_controller()
    load(controller, "a", 1)
    controller.handle(Release(1, "a"), 1.0)
    assert controller.handle(Unload(2, "a"), 2.0) == [StopWorker("a", 1, LeaveReason.UNLOADED)]
    assert controller.handle(Acquire(3, "b"), 3.0) == []
    exited = controller.handle(WorkerExited("a", 1, "exit status 0"), 4.0)
    assert exited == [ReportUnloaded(2, was_loaded=True), StartLoad("b", 1, option())]


def test_a_request_for_a_model_that_unloads_has_it_loaded_again() -> None:
    controller = make_controller()
    load(controller, "a", 1)
    controller.handle(Release(1, "a"), 1.0)
    controller.handle(Unload(2, "a"), 2.0)
    assert controller.handle(Acquire(3, "a"), 2.5) == []
    exited = controller.handle(WorkerExited("a", 1, "exit status 0"), 3.0)
    assert exited == [ReportUnloaded(2, was_loaded=True), StartLoad("a", 2, option())]


def test_a_request_that_comes_before_a_late_idle_timer_keeps_the_model() -> None:
    controller = make_controller()
    load(controller, "a", 1)
    controller.handle(Release(1, "a"), 0.0)
    assert controller.handle(Acquire(2, "a"), 601.0) == [GrantLease(2, "a", 1)]


def test_models_get_room_in_the_order_of_their_oldest_request() -> None:
    controller = make_controller()
    load(controller, "a", 1)
    controller.handle(Acquire(2, "b"), 1.0)
    controller.handle(Acquire(3, "c"), 2.0)
    controller.handle(Acquire(4, "b"), 3.0)
    controller.handle(Withdraw(2, "b"), 3.5)
    assert controller.handle(Release(1, "a"), 4.0) == [StopWorker("a", 1, LeaveReason.EVICTED)]


def test_a_model_whose_requests_overlap_for_ever_does_not_starve_another() -> None:
    controller = make_controller()
    load(controller, "a", 1)
    controller.handle(Acquire(1000, "b"), 0.0)
    for second in range(1, 20):
        effects = controller.handle(Acquire(second + 1, "a"), float(second))
        effects += controller.handle(Release(second, "a"), second + 0.5)
        if StopWorker("a", 1, LeaveReason.EVICTED) in effects:
            break
    assert second <= 6, "a turn, and the last request's second"


def test_a_model_keeps_its_slot_for_a_turn_at_least() -> None:
    controller = make_controller()
    load(controller, "a", 1)
    controller.handle(Acquire(2, "b"), 0.0)
    controller.handle(Tick(), 5.0)
    assert controller.handle(Acquire(3, "a"), 6.0) == [], "it makes way"
    controller.handle(Release(1, "a"), 20.0)
    controller.handle(WorkerExited("a", 1, "exit status 0"), 20.0)
    assert controller.handle(LoadSucceeded("b", 1), 21.0) == [GrantLease(2, "b", 1)]
    assert controller.handle(Acquire(4, "b"), 25.9) == [GrantLease(4, "b", 1)], "though a's request is overdue"
    assert controller.next_deadline() == 26.0
    controller.handle(Tick(), 26.0)
    assert controller.handle(Acquire(5, "b"), 26.0) == []


def test_a_load_that_nobody_waits_for_any_more_goes_on() -> None:
    controller = make_controller()
    controller.handle(Acquire(1, "a"), 0.0)
    assert controller.handle(Withdraw(1, "a"), 1.0) == []
    assert controller.handle(LoadSucceeded("a", 1), 2.0) == []
    assert controller.handle(Acquire(2, "a"), 3.0) == [GrantLease(2, "a", 1)]


def test_a_model_that_nobody_waits_for_any_more_gets_no_room() -> None:
    controller = make_controller()
    load(controller, "a", 1)
    controller.handle(Acquire(2, "b"), 0.0)
    controller.handle(Withdraw(2, "b"), 1.0)
    assert controller.handle(Release(1, "a"), 2.0) == []


def test_a_withdrawal_that_crosses_the_grant_releases_the_lease() -> None:
    controller = make_controller()
    load(controller, "a", 1)
    controller.handle(Withdraw(1, "a"), 1.0)
    assert controller.handle(Acquire(2, "b"), 2.0) == [StopWorker("a", 1, LeaveReason.EVICTED)]


def test_a_load_waits_without_a_lease() -> None:
    controller = make_controller()
    controller.handle(Load(1, "a"), 0.0)
    assert controller.handle(LoadSucceeded("a", 1), 1.0) == [ReportLoaded(1)]
    assert controller.handle(Acquire(2, "b"), 2.0) == [StopWorker("a", 1, LeaveReason.EVICTED)]


def test_a_forced_reload_that_is_refused_unloads_nothing() -> None:
    controller = make_controller(max_waiting_per_model=1)
    load(controller, "a", 1)
    controller.handle(Unload(2, "a"), 0.0)
    controller.handle(Acquire(3, "a"), 1.0)
    assert isinstance(only_error(controller.handle(Load(4, "a", force_reload=True), 2.0)), QueueFullError)


def test_when_to_come_again_follows_from_the_last_load() -> None:
    controller = make_controller(max_waiting_per_model=1)
    controller.handle(Acquire(1, "a"), 0.0)
    controller.handle(LoadSucceeded("a", 1), 20.0)
    controller.handle(WorkerExited("a", 1, "signal SIGKILL"), 21.0)
    controller.handle(Acquire(2, "a"), 22.0)
    error = only_error(controller.handle(Acquire(3, "a"), 27.0))
    assert isinstance(error, QueueFullError)
    assert error.retry_after_s == 15.0


@pytest.mark.parametrize("model_id", ["a", "b"])
def test_a_wait_that_is_too_long_says_what_is_in_the_way(model_id: str) -> None:
    controller = make_controller()
    controller.handle(Acquire(1, "a"), 0.0)
    controller.handle(Withdraw(1, "a"), 1.0)
    controller.handle(Acquire(2, model_id), 2.0)
    # Only progress keeps a load from being stopped before the wait is over, so the time jumps.
    effects = controller.handle(Tick(), 62.0)
    refused = [effect.error for effect in effects if isinstance(effect, RefuseWaiter)]
    assert [type(error) for error in refused] == [WaitTimeoutError]
    assert ("still loading" if model_id == "a" else "a (loading)") in str(refused[0])


def test_unloading_gives_up_waiting_but_not_unloading() -> None:
    controller = make_controller()
    load(controller, "a", 1)
    controller.handle(Unload(2, "a"), 0.0)
    error = only_error(controller.handle(Tick(), 60.0))
    assert isinstance(error, WaitTimeoutError)
    assert "1 requests in flight" in str(error)
    assert controller.handle(Release(1, "a"), 61.0) == [StopWorker("a", 1, LeaveReason.UNLOADED)]


def test_shutting_down_stops_leased_models_too() -> None:
    controller = make_controller(num_places=2)
    load(controller, "a", 1)
    controller.handle(Acquire(2, "b"), 0.0)
    effects = controller.handle(ShutDown(), 1.0)
    assert StopWorker("a", 1, LeaveReason.SHUTDOWN) in effects
    assert StopWorker("b", 1, LeaveReason.SHUTDOWN) in effects
    assert [effect.waiter_id for effect in effects if isinstance(effect, RefuseWaiter)] == [2]
    assert controller.handle(WorkerExited("a", 1, "exit status 0"), 2.0) == []


# --- memory ---------------------------------------------------------------------------------------------------------


def test_a_load_reserves_before_it_starts_and_gives_back_when_its_worker_has_exited() -> None:
    controller = DrivenController(3, needs={"a": 60, "b": 60}, budget_bytes=100)
    load(controller, "a", 1)
    assert controller.controller.stable.ledger.free == {HOST: 40, PLACES: 2}
    assert controller.handle(Acquire(2, "b"), 1.0) == []
    assert controller.handle(Release(1, "a"), 2.0) == [StopWorker("a", 1, LeaveReason.EVICTED)]
    assert controller.controller.stable.ledger.free == {HOST: 40, PLACES: 2}, "the process still has it"
    exited = controller.handle(WorkerExited("a", 1, "exit status 0"), 3.0)
    assert exited == [StartLoad("b", 1, option(60))]
    assert controller.controller.stable.ledger.free == {HOST: 40, PLACES: 2}


def test_two_loads_that_fit_only_one_by_one_are_not_both_started() -> None:
    controller = DrivenController(3, needs={"a": 60, "b": 60}, budget_bytes=100)
    assert controller.handle(Acquire(1, "a"), 0.0) == [StartLoad("a", 1, option(60))]
    assert controller.handle(Acquire(2, "b"), 0.0) == []


def test_what_was_measured_takes_the_place_of_the_estimate() -> None:
    controller = DrivenController(3, needs={"a": 60, "b": 60}, budget_bytes=100)
    controller.handle(Acquire(1, "a"), 0.0)
    controller.handle(Acquire(2, "b"), 0.0)
    effects = controller.handle(LoadSucceeded("a", 1, {HOST: 30, PLACES: 1}), 1.0)
    assert effects == [GrantLease(1, "a", 1), StartLoad("b", 1, option(60))]
    assert controller.controller.stable.ledger.free == {HOST: 10, PLACES: 1}


def test_a_model_that_can_never_fit_is_refused_at_once_with_numbers() -> None:
    controller = DrivenController(3, needs={"a": 2 * 2**30}, budget_bytes=2**30)
    error = only_error(controller.handle(Acquire(1, "a"), 0.0))
    assert isinstance(error, ModelTooLargeError)
    assert "2.0 GiB of host memory" in str(error)
    assert "1.0 GiB of host memory" in str(error)


def test_a_small_model_passes_one_that_waits_for_room_until_that_is_overdue() -> None:
    controller = DrivenController(3, needs={"a": 60, "b": 60, "c": 30}, budget_bytes=100)
    load(controller, "a", 1)
    controller.handle(Acquire(2, "b"), 1.0)
    assert controller.handle(Acquire(3, "c"), 2.0) == [StartLoad("c", 1, option(30))]
    controller.handle(WorkerExited("c", 1, "signal SIGKILL"), 3.0)
    assert controller.handle(Load(4, "c"), 7.0) == [], "what is free is held for b, whose request is overdue"


def test_a_pinned_model_neither_idles_out_nor_makes_way() -> None:
    controller = DrivenController(1, profiles={"a": Profile(is_pinned=True)})
    load(controller, "a", 1)
    controller.handle(Release(1, "a"), 0.0)
    assert controller.handle(Tick(), 10_000.0) == []
    error = only_error(controller.handle(Acquire(2, "b"), 10_000.0))
    assert isinstance(error, ModelTooLargeError)
    assert "a part of which is kept by a (pinned); unload one of them" in str(error)
    assert controller.handle(Unload(3, "a"), 10_001.0) == [StopWorker("a", 1, LeaveReason.UNLOADED)]


def test_a_load_pins_a_model_until_another_says_otherwise_or_it_has_left() -> None:
    controller = DrivenController(1)
    load(controller, "a", 1)
    controller.handle(Release(1, "a"), 0.0)
    assert controller.handle(Load(2, "a", is_pinned=True), 1.0) == [ReportLoaded(2)]
    assert controller.handle(Tick(), 10_000.0) == []
    assert isinstance(only_error(controller.handle(Acquire(3, "b"), 10_000.0)), ModelTooLargeError)
    controller.handle(Load(4, "a"), 10_001.0)
    assert controller.controller.stable["a"].is_pinned, "a load that does not say leaves it as it is"
    let_go = controller.handle(Load(5, "a", is_pinned=False), 10_002.0)
    assert let_go == [ReportLoaded(5), StopWorker("a", 1, LeaveReason.IDLE)], "nobody has used it for long"
    controller.handle(Load(7, "b", is_pinned=True), 10_003.0)
    controller.handle(WorkerExited("a", 1, "exit status 0"), 10_004.0)
    controller.handle(LoadSucceeded("b", 1), 10_004.0)
    assert controller.controller.stable["b"].is_pinned
    controller.handle(Unload(8, "b", is_forced=True), 10_005.0)
    controller.handle(WorkerExited("b", 1, "exit status 0"), 10_006.0)
    assert not controller.controller.stable["b"].is_pinned


def test_a_model_stays_as_long_as_its_load_took() -> None:
    controller = DrivenController(1)
    controller.handle(Load(1, "a"), 0.0)
    controller.handle(LoadSucceeded("a", 1), 3.0)
    assert controller.handle(Acquire(2, "b"), 4.0) == []
    assert controller.next_deadline() == 6.0
    assert controller.handle(Tick(), 6.0) == [StopWorker("a", 1, LeaveReason.EVICTED)]


def test_an_eviction_says_for_whom_and_why() -> None:
    controller = DrivenController(1)
    load(controller, "a", 1)
    controller.handle(Release(1, "a"), 1.0)
    controller.handle(Acquire(2, "b"), 9.0)
    (note,) = [note for note in controller.notes if note.kind is NoteKind.LEAVING]
    assert note.text == "a leaves to make room for b: it has been idle for 8.0 s and took 0.0 s to load"
    assert (note.facts["reason"], note.facts["for"]) == (LeaveReason.EVICTED, "b")


def test_a_wait_for_a_model_that_leaves_names_it() -> None:
    controller = DrivenController(1)
    load(controller, "a", 1)
    controller.handle(Release(1, "a"), 0.0)
    controller.handle(Acquire(2, "b"), 8.0)
    (note,) = [note for note in controller.notes if note.kind is NoteKind.WAITING]
    assert note.text == "b waits for a to leave memory"


def test_what_only_a_first_load_has_to_do_is_not_expected_of_the_next() -> None:
    controller = DrivenController(1)
    controller.handle(Load(1, "a"), 0.0)
    controller.handle(LoadSucceeded("a", 1, once_s=90.0), 92.0)
    (note,) = [note for note in controller.notes if note.kind is NoteKind.LOADED]
    assert (note.text, note.facts["seconds"]) == ("a was loaded in 92.0 s", 92.0)
    entry = controller.entry("a")
    assert entry is not None
    assert entry.load_s == 2.0


def test_a_wait_is_noted_once_for_each_reason() -> None:
    controller = DrivenController(3, needs={"a": 60, "b": 60}, budget_bytes=100)
    load(controller, "a", 1)
    for waiter_id in (2, 3, 4):
        controller.handle(Acquire(waiter_id, "b"), float(waiter_id))
    (note,) = [note for note in controller.notes if note.kind is NoteKind.WAITING]
    assert note.text == "b waits for 0 MiB of host memory, held by a (1 in flight)"
    assert note.facts == {"lacking_host": 20}


# --- staying --------------------------------------------------------------------------------------------------------


def test_the_last_request_says_how_long_its_model_stays() -> None:
    controller = make_controller()
    load(controller, "a", 1)
    controller.handle(Acquire(2, "a", keep_alive_s=20.0), 0.0)
    controller.handle(Release(1, "a"), 0.0)
    controller.handle(Release(2, "a"), 5.0)
    assert controller.next_deadline() == 25.0
    controller.handle(Acquire(3, "a", keep_alive_s=math.inf), 6.0)
    controller.handle(Release(3, "a"), 7.0)
    assert controller.next_deadline() is None
    controller.handle(Acquire(4, "a"), 8.0)
    controller.handle(Release(4, "a"), 9.0)
    assert controller.next_deadline() is None, "who does not say changes nothing"
    controller.handle(Acquire(5, "a", keep_alive_s=0.0), 10.0)
    assert controller.handle(Release(5, "a"), 11.0) == [StopWorker("a", 1, LeaveReason.IDLE)]


def test_a_wish_to_stay_ends_with_the_stay() -> None:
    controller = make_controller()
    load(controller, "a", 1)
    controller.handle(Acquire(2, "a", keep_alive_s=0.0), 0.0)
    controller.handle(Release(1, "a"), 0.0)
    controller.handle(Release(2, "a"), 0.0)
    controller.handle(WorkerExited("a", 1, "exit status 0"), 1.0)
    controller.handle(Load(3, "a"), 1.0)
    assert controller.handle(LoadSucceeded("a", 2), 2.0) == [ReportLoaded(3)]
    assert controller.next_deadline() == 602.0


def test_the_registry_says_how_long_a_model_stays() -> None:
    controller = DrivenController(1, profiles={"a": Profile(keep_alive_s=7.0)})
    load(controller, "a", 1)
    controller.handle(Release(1, "a"), 1.0)
    assert controller.next_deadline() == 8.0


def test_a_forced_unload_waits_for_nobody() -> None:
    controller = make_controller()
    load(controller, "a", 1)
    assert controller.handle(Unload(2, "a", is_forced=True), 1.0) == [StopWorker("a", 1, LeaveReason.UNLOADED)]
    assert controller.notes[-1].text == "a leaves by command, and its 1 requests end with it"


# --- failures -------------------------------------------------------------------------------------------------------


def test_who_fills_the_places_to_wait_does_not_keep_another_out() -> None:
    controller = make_controller(max_waiting_per_model=2)
    greedy, modest = Caller(id="greedy"), Caller(id="modest")
    controller.handle(Acquire(1, "a", caller=greedy), 0.0)
    controller.handle(Acquire(2, "a", caller=greedy), 0.0)
    assert isinstance(only_error(controller.handle(Acquire(3, "a", caller=greedy), 0.0)), QueueFullError)
    assert controller.handle(Acquire(4, "a", caller=modest), 0.0) == []
    assert isinstance(only_error(controller.handle(Acquire(5, "a", caller=modest), 0.0)), QueueFullError)
