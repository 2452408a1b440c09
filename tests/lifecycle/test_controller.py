"""The controller in single scenes; `test_controller_states` has the rules that always hold."""

import pytest

from hostler.errors import ModelLoadError, QueueFullError, WaitTimeoutError
from hostler.lifecycle.controller import Controller, Limits
from hostler.lifecycle.events import (
    Acquire,
    Effect,
    GrantLease,
    LeaveReason,
    Load,
    LoadFailed,
    LoadSucceeded,
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
from hostler.types import ModelState


def make_controller(max_concurrent_models: int = 1, max_waiting_per_model: int = 4) -> Controller:
    limits = Limits(
        max_concurrent_models=max_concurrent_models,
        max_waiting_per_model=max_waiting_per_model,
        acquire_timeout_s=60.0,
        load_stall_timeout_s=30.0,
        keep_alive_s=600.0,
        turn_s=5.0,
    )
    return Controller(limits, ["a", "b", "c"])


def load(controller: Controller, model_id: str, waiter_id: int, now: float = 0.0) -> None:
    """Bring a model in, with a lease for `waiter_id`."""
    assert controller.handle(Acquire(waiter_id, model_id), now) == [StartLoad(model_id, 1)]
    assert controller.handle(LoadSucceeded(model_id, 1), now) == [GrantLease(waiter_id, model_id, 1)]


def only_error(effects: list[Effect]) -> Exception:
    (effect,) = effects
    assert isinstance(effect, RefuseWaiter)
    return effect.error


def test_what_was_just_loaded_serves_its_waiters_before_it_may_leave() -> None:
    controller = make_controller()
    controller.handle(Acquire(1, "a"), 0.0)
    controller.handle(Acquire(2, "b"), 0.0)
    assert controller.handle(LoadSucceeded("a", 1), 1.0) == [GrantLease(1, "a", 1)]
    assert controller.handle(Release(1, "a"), 2.0) == [StopWorker("a", 1, LeaveReason.EVICTED, for_model="b")]
    assert controller.handle(WorkerExited("a", 1, "exit status 0"), 3.0) == [StartLoad("b", 1)]


def test_a_slot_is_free_only_when_its_worker_has_exited() -> None:
    controller = make_controller()
    load(controller, "a", 1)
    controller.handle(Release(1, "a"), 1.0)
    assert controller.handle(Unload(2, "a"), 2.0) == [StopWorker("a", 1, LeaveReason.UNLOADED)]
    assert controller.handle(Acquire(3, "b"), 3.0) == []
    exited = controller.handle(WorkerExited("a", 1, "exit status 0"), 4.0)
    assert exited == [ReportUnloaded(2, was_loaded=True), StartLoad("b", 1)]


def test_a_request_for_a_model_that_unloads_has_it_loaded_again() -> None:
    controller = make_controller()
    load(controller, "a", 1)
    controller.handle(Release(1, "a"), 1.0)
    controller.handle(Unload(2, "a"), 2.0)
    assert controller.handle(Acquire(3, "a"), 2.5) == []
    exited = controller.handle(WorkerExited("a", 1, "exit status 0"), 3.0)
    assert exited == [ReportUnloaded(2, was_loaded=True), StartLoad("a", 2)]


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
    assert controller.handle(Release(1, "a"), 4.0) == [StopWorker("a", 1, LeaveReason.EVICTED, for_model="c")]


def test_a_model_whose_requests_overlap_for_ever_does_not_starve_another() -> None:
    controller = make_controller()
    load(controller, "a", 1)
    controller.handle(Acquire(1000, "b"), 0.0)
    for second in range(1, 20):
        effects = controller.handle(Acquire(second + 1, "a"), float(second))
        effects += controller.handle(Release(second, "a"), second + 0.5)
        if StopWorker("a", 1, LeaveReason.EVICTED, for_model="b") in effects:
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
    assert controller.handle(Acquire(2, "b"), 2.0) == [StopWorker("a", 1, LeaveReason.EVICTED, for_model="b")]


def test_a_failed_load_keeps_its_slot_until_the_process_is_gone() -> None:
    controller = make_controller()
    controller.handle(Acquire(1, "a"), 0.0)
    error = ModelLoadError("broken")
    failed = controller.handle(LoadFailed("a", 1, error), 1.0)
    assert failed == [RefuseWaiter(1, error), StopWorker("a", 1, LeaveReason.LOAD_FAILED)]
    assert controller.handle(Acquire(2, "b"), 2.0) == []
    assert controller.handle(WorkerExited("a", 1, "exit status 1"), 3.0) == [StartLoad("b", 1)]
    entry = controller.entry("a")
    assert entry is not None
    assert (entry.state, entry.last_error) == (ModelState.FAILED, "broken")


def test_a_process_that_ends_without_a_word_fails_its_load() -> None:
    controller = make_controller()
    controller.handle(Acquire(1, "a"), 0.0)
    error = only_error(controller.handle(WorkerExited("a", 1, "signal SIGKILL"), 1.0))
    assert isinstance(error, ModelLoadError)
    assert "signal SIGKILL" in str(error)


def test_a_load_waits_without_a_lease() -> None:
    controller = make_controller()
    controller.handle(Load(1, "a"), 0.0)
    assert controller.handle(LoadSucceeded("a", 1), 1.0) == [ReportLoaded(1)]
    assert controller.handle(Acquire(2, "b"), 2.0) == [StopWorker("a", 1, LeaveReason.EVICTED, for_model="b")]


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
    controller = make_controller(max_concurrent_models=2)
    load(controller, "a", 1)
    controller.handle(Acquire(2, "b"), 0.0)
    effects = controller.handle(ShutDown(), 1.0)
    assert StopWorker("a", 1, LeaveReason.SHUTDOWN) in effects
    assert StopWorker("b", 1, LeaveReason.SHUTDOWN) in effects
    assert [effect.waiter_id for effect in effects if isinstance(effect, RefuseWaiter)] == [2]
    assert controller.handle(WorkerExited("a", 1, "exit status 0"), 2.0) == []
