"""The controller when loads fail, and workers die or hang."""

from hostler.errors import GatedModelError, ModelLoadError
from hostler.lifecycle.events import (
    Acquire,
    LeaveReason,
    Load,
    LoadFailed,
    LoadSucceeded,
    RefuseWaiter,
    StartLoad,
    StopWorker,
    Unload,
    WorkerExited,
    WorkerHung,
)
from hostler.types import ModelState
from tests.lifecycle.driver import DrivenController, load, make_controller, only_error, option


def fail(controller: DrivenController, generation: int, now: float) -> None:
    controller.handle(LoadFailed("a", generation, GatedModelError("accept the licence")), now)
    controller.handle(WorkerExited("a", generation, "exit status 0"), now)


def test_a_failed_load_keeps_its_slot_until_the_process_is_gone() -> None:
    controller = make_controller()
    controller.handle(Acquire(1, "a"), 0.0)
    error = ModelLoadError("broken")
    failed = controller.handle(LoadFailed("a", 1, error), 1.0)
    assert failed == [RefuseWaiter(1, error), StopWorker("a", 1, LeaveReason.LOAD_FAILED)]
    assert controller.handle(Acquire(2, "b"), 2.0) == []
    assert controller.handle(WorkerExited("a", 1, "exit status 1"), 3.0) == [StartLoad("b", 1, option())]
    entry = controller.entry("a")
    assert entry is not None
    assert (entry.state, entry.last_error) == (ModelState.FAILED, "broken")


def test_a_process_that_ends_without_a_word_fails_its_load() -> None:
    controller = make_controller()
    controller.handle(Acquire(1, "a"), 0.0)
    error = only_error(controller.handle(WorkerExited("a", 1, "signal SIGKILL"), 1.0))
    assert isinstance(error, ModelLoadError)
    assert "signal SIGKILL" in str(error)


def test_after_a_failed_load_requests_are_refused_for_a_while_with_its_reason() -> None:
    controller = make_controller()
    controller.handle(Acquire(1, "a"), 0.0)
    fail(controller, 1, 1.0)
    error = only_error(controller.handle(Acquire(2, "a"), 5.0))
    assert isinstance(error, GatedModelError)
    assert "accept the licence" in str(error)
    assert error.retry_after_s == 6.0
    assert controller.handle(Acquire(3, "a"), 11.0) == [StartLoad("a", 2, option())]


def test_requests_are_refused_also_before_the_process_of_a_failed_load_is_gone() -> None:
    controller = make_controller()
    controller.handle(Acquire(1, "a"), 0.0)
    controller.handle(LoadFailed("a", 1, GatedModelError("accept the licence")), 1.0)
    entry = controller.entry("a")
    assert entry is not None
    assert entry.state is ModelState.UNLOADING
    assert entry.reported_state is ModelState.FAILED
    error = only_error(controller.handle(Acquire(2, "a"), 1.0))
    assert isinstance(error, GatedModelError)
    assert controller.handle(WorkerExited("a", 1, "exit status 0"), 2.0) == []


def test_each_failure_doubles_the_pause_up_to_its_limit() -> None:
    controller = make_controller()
    now, pauses = 0.0, []
    for generation in range(1, 9):
        controller.handle(Load(generation, "a"), now)
        fail(controller, generation, now)
        entry = controller.entry("a")
        assert entry is not None
        pauses.append(entry.retry_at - now)
        now += 1.0
    assert pauses == [10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0, 300.0]


def test_a_command_to_load_does_not_wait_for_the_pause_to_end() -> None:
    controller = make_controller()
    controller.handle(Acquire(1, "a"), 0.0)
    fail(controller, 1, 1.0)
    assert controller.handle(Load(2, "a"), 2.0) == [StartLoad("a", 2, option())]
    assert controller.handle(Acquire(3, "a"), 2.0) == [], "it joins"


def test_a_first_death_costs_nothing_and_the_next_one_soon_after_a_pause() -> None:
    controller = make_controller()
    load(controller, "a", 1)
    controller.handle(WorkerExited("a", 1, "signal SIGKILL"), 1.0)
    assert controller.handle(Acquire(2, "a"), 1.0) == [StartLoad("a", 2, option())]
    controller.handle(LoadSucceeded("a", 2), 2.0)
    controller.handle(WorkerExited("a", 2, "signal SIGKILL"), 3.0)
    assert isinstance(only_error(controller.handle(Acquire(3, "a"), 4.0)), ModelLoadError)
    assert controller.handle(Acquire(4, "a"), 13.0) == [StartLoad("a", 3, option())]
    controller.handle(LoadSucceeded("a", 3), 14.0)
    controller.handle(WorkerExited("a", 3, "signal SIGKILL"), 80.0)
    assert controller.handle(Acquire(5, "a"), 80.0) == [StartLoad("a", 4, option())], "it served for a minute"


def test_a_worker_that_hangs_is_ended() -> None:
    controller = make_controller()
    load(controller, "a", 1)
    assert controller.handle(WorkerHung("a", 1), 1.0) == [StopWorker("a", 1, LeaveReason.HUNG)]
    controller.handle(WorkerExited("a", 1, "signal SIGKILL"), 2.0)
    assert controller.handle(Acquire(2, "a"), 2.0) == [StartLoad("a", 2, option())]


def test_a_model_that_served_and_left_has_its_failures_behind_it() -> None:
    controller = make_controller()
    for generation in (1, 2):
        controller.handle(Load(generation, "a"), 0.0)
        fail(controller, generation, 0.0)
    controller.handle(Load(3, "a"), 0.0)
    controller.handle(LoadSucceeded("a", 3), 1.0)
    controller.handle(Unload(4, "a"), 2.0)
    controller.handle(WorkerExited("a", 3, "exit status 0"), 3.0)
    controller.handle(Load(5, "a"), 4.0)
    fail(controller, 4, 4.0)
    entry = controller.entry("a")
    assert entry is not None
    assert entry.retry_at == 14.0
