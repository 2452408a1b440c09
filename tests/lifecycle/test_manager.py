"""The manager with fake workers and a clock that the test moves."""

import asyncio
import logging
from collections.abc import AsyncIterator

import msgspec
import pytest

from hostler.config import Settings
from hostler.errors import (
    EngineDeadError,
    GatedModelError,
    ModelLoadError,
    ModelNotFoundError,
    ModelUnloadedError,
    QueueFullError,
    ShuttingDownError,
    WaitTimeoutError,
)
from hostler.lifecycle.lease import ModelLease
from hostler.lifecycle.ledger import HOST, PLACES
from hostler.lifecycle.manager import ModelManager
from hostler.memory import DeviceMemory, Estimate
from hostler.registry import Registry
from hostler.testing.estimator import FakeEstimator, NoGpus, footprint
from hostler.testing.model import FACTS
from hostler.testing.worker import FakeLauncher
from hostler.types import LoadProgress, ModelState, SamplingParams, TextPrompt
from tests.fake_clock import FakeClock, settle
from tests.lifecycle.specs import make_registry, make_spec

A, B, C = make_spec("a"), make_spec("b"), make_spec("c")
PROMPT = TextPrompt(text="hello")


class Stable:
    """A manager, its fakes, and requests that wait."""

    def __init__(self, max_concurrent_models: int = 2, max_waiting_per_model: int = 8) -> None:
        self.clock = FakeClock()
        self.launcher = FakeLauncher(self.clock.sleep)
        self.estimator = FakeEstimator()
        settings = Settings(
            max_concurrent_models=max_concurrent_models,
            max_waiting_per_model=max_waiting_per_model,
            acquire_timeout_s=60,
            load_stall_timeout_s=30,
            auto_unload_after_minutes=10,
            num_threads=5,
        )
        self.manager = ModelManager(
            make_registry("a", "b", "c"), settings, self.launcher, self.estimator, self.clock, NoGpus()
        )

    def hold_loads(self, model_id: str) -> asyncio.Event:
        gate = self.launcher.model(model_id).load_gate = asyncio.Event()
        return gate

    async def state(self, model_id: str) -> ModelState:
        await settle()
        return self.manager.status(model_id).state

    def num_loads(self, model_id: str) -> int:
        return len(self.launcher.workers_of(model_id))


@pytest.fixture
async def stable() -> AsyncIterator[Stable]:
    stable = Stable()
    await stable.manager.start()
    yield stable
    await close_and_check(stable)


async def close_and_check(stable: Stable) -> None:
    """Whatever a test did, closing leaves nothing behind."""
    for model_id in stable.manager.registry:
        if (gate := stable.launcher.model(model_id).stop_gate) is not None:
            gate.set()
    await stable.manager.close()
    assert stable.launcher.is_closed
    assert stable.launcher.alive == []
    assert stable.clock.num_timers == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def waiting(stable: Stable, spec_id: str) -> asyncio.Task[ModelLease]:
    """A request that has begun to wait for its lease."""
    task = asyncio.create_task(stable.manager.acquire(make_spec(spec_id)))
    await settle()
    return task


async def test_a_request_loads_its_model_and_is_answered_by_it(stable: Stable) -> None:
    with await stable.manager.acquire(A) as lease:
        generation = await lease.engine.generate(PROMPT, SamplingParams(max_tokens=2))
        assert [delta.text async for delta in generation] == ["word0 ", "word1 "]
        status = stable.manager.status("a")
        assert (status.state, status.num_leases, status.facts) == (ModelState.READY, 1, FACTS)
        assert status.pid == stable.launcher.worker("a").pid
        assert repr(lease) == "<ModelLease a held>"
    assert stable.manager.status("a").num_leases == 0
    assert stable.manager.loaded_ids() == ["a"]
    assert stable.manager.current_model == "a"


async def test_requests_that_come_during_a_load_join_it(stable: Stable) -> None:
    gate = stable.hold_loads("a")
    requests = [await waiting(stable, "a") for _ in range(5)]
    loading = asyncio.create_task(stable.manager.load(A))
    await settle()
    assert stable.manager.status("a").num_waiting == 6
    gate.set()
    leases = await asyncio.gather(*requests)
    await loading
    assert stable.num_loads("a") == 1
    assert stable.manager.status("a").num_leases == 5
    for lease in leases:
        lease.release()


async def test_a_load_goes_on_when_its_client_leaves(stable: Stable) -> None:
    gate = stable.hold_loads("a")
    first = await waiting(stable, "a")
    second = await waiting(stable, "a")
    first.cancel()
    await settle()
    second.cancel()
    assert await stable.state("a") is ModelState.LOADING
    gate.set()
    assert await stable.state("a") is ModelState.READY
    assert stable.manager.status("a").num_leases == 0


async def test_a_cancel_that_crosses_the_grant_leaves_no_lease(stable: Stable) -> None:
    gate = stable.hold_loads("a")
    request = await waiting(stable, "a")
    gate.set()
    while stable.manager.status("a").num_leases == 0:
        assert not request.done()
        await asyncio.sleep(0)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert stable.manager.status("a").num_leases == 0
    assert stable.manager.status("a").state is ModelState.READY


async def test_the_least_recently_used_idle_model_leaves_for_another(stable: Stable) -> None:
    for spec in (A, B, A):
        with await stable.manager.acquire(spec):
            await stable.clock.advance(1)
    with await stable.manager.acquire(C):
        assert stable.manager.loaded_ids() == ["a", "c"]
    assert len(stable.launcher.alive) == 2


async def test_a_model_in_use_is_not_evicted(stable: Stable) -> None:
    lease_a, lease_b = await stable.manager.acquire(A), await stable.manager.acquire(B)
    request = await waiting(stable, "c")
    assert not request.done()
    assert stable.manager.loaded_ids() == ["a", "b"]
    lease_b.release()
    (await request).release()
    assert stable.manager.loaded_ids() == ["a", "c"]
    lease_a.release()


async def test_a_ready_model_answers_while_another_loads(stable: Stable) -> None:
    stable.hold_loads("b")
    with await stable.manager.acquire(A):
        request = await waiting(stable, "b")
        with await stable.manager.acquire(A) as second:
            generation = await second.engine.generate(PROMPT, SamplingParams(max_tokens=1))
            assert len([delta async for delta in generation]) == 1
        assert not request.done()
    request.cancel()


async def test_a_busy_model_makes_way_after_a_turn() -> None:
    stable = Stable(max_concurrent_models=1)
    await stable.manager.start()
    lease = await stable.manager.acquire(A)
    for_b = await waiting(stable, "b")
    (await stable.manager.acquire(A)).release()
    await stable.clock.advance(5)
    for_a = await waiting(stable, "a")
    assert not for_a.done()
    lease.release()
    lease_b = await for_b
    assert not for_a.done()
    await stable.clock.advance(5)
    lease_b.release()
    (await for_a).release()
    await close_and_check(stable)


async def test_a_busy_model_grants_again_when_nobody_needs_its_room_any_more() -> None:
    stable = Stable(max_concurrent_models=1)
    await stable.manager.start()
    lease = await stable.manager.acquire(A)
    for_b = await waiting(stable, "b")
    await stable.clock.advance(5)
    for_a = await waiting(stable, "a")
    for_b.cancel()
    await settle()
    (await for_a).release()
    lease.release()
    assert stable.num_loads("a") == 1
    await close_and_check(stable)


async def test_a_crash_fails_what_runs_and_the_next_request_loads_again(stable: Stable) -> None:
    stable.launcher.model("a").token_gate = asyncio.Event()
    with await stable.manager.acquire(A) as lease:
        generation = await lease.engine.generate(PROMPT, SamplingParams())
        stable.launcher.worker("a").crash()
        with pytest.raises(EngineDeadError):
            _ = [delta async for delta in generation]
        assert await stable.state("a") is ModelState.UNLOADED
        assert stable.manager.status("a").last_error == "its process ended: signal SIGKILL"
        assert stable.manager.status("a").facts is None
        second = await stable.manager.acquire(A)
    assert stable.manager.status("a").num_leases == 1, "the dead worker's lease must not end the new worker's"
    assert stable.manager.status("a").last_error is None
    second.release()


async def test_a_failed_load_refuses_all_who_wait_and_the_next_request_tries_again(stable: Stable) -> None:
    gate = stable.hold_loads("a")
    stable.launcher.model("a").load_error = GatedModelError("accept the licence")
    requests = [await waiting(stable, "a") for _ in range(2)]
    gate.set()
    outcomes = await asyncio.gather(*requests, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [GatedModelError, GatedModelError]
    assert outcomes[0] is not outcomes[1]
    assert await stable.state("a") is ModelState.FAILED
    assert stable.manager.status("a").last_error == "accept the licence"
    assert stable.launcher.alive == []
    stable.launcher.model("a").load_error = None
    with pytest.raises(GatedModelError, match="in 10 s at the earliest"):
        await stable.manager.acquire(A)
    assert stable.manager.status("a").retry_after_s == 10
    await stable.clock.advance(10)
    (await stable.manager.acquire(A)).release()
    assert stable.manager.status("a").retry_after_s is None


async def test_a_process_that_cannot_start_is_a_failed_load(stable: Stable) -> None:
    stable.launcher.model("a").launch_error = ModelLoadError("no more processes")
    with pytest.raises(ModelLoadError, match="no more processes"):
        await stable.manager.load(A)
    assert await stable.state("a") is ModelState.FAILED


async def test_a_process_that_dies_while_it_loads_is_a_failed_load(stable: Stable) -> None:
    stable.hold_loads("a")
    request = await waiting(stable, "a")
    stable.launcher.worker("a").crash("signal SIGKILL")
    with pytest.raises(ModelLoadError, match=r"ended: signal SIGKILL \(as when the system is out of memory\)"):
        await request
    assert await stable.state("a") is ModelState.FAILED


async def test_an_error_that_nobody_foresaw_is_told_to_the_log_alone(
    stable: Stable, caplog: pytest.LogCaptureFixture
) -> None:
    stable.launcher.model("a").load_error = KeyError("/secret/path")
    with pytest.raises(ModelLoadError) as caught:
        await stable.manager.acquire(A)
    assert "secret" not in str(caught.value)
    assert "secret" in caplog.text
    assert await stable.state("a") is ModelState.FAILED


async def test_a_launch_can_be_given_up(stable: Stable) -> None:
    stable.launcher.model("a").launch_gate = asyncio.Event()
    request = await waiting(stable, "a")
    assert await stable.manager.unload("a") is True
    with pytest.raises(ModelUnloadedError):
        await request
    assert stable.launcher.workers == []


async def test_a_worker_whose_end_cannot_be_seen_gives_its_slot_back(
    stable: Stable, caplog: pytest.LogCaptureFixture
) -> None:
    stable.launcher.model("a").stop_error = OSError("no such process")
    await stable.manager.load(A)
    assert await stable.manager.unload("a") is True
    assert "worker_lost model=a" in caplog.text
    stable.launcher.model("a").stop_error = None
    (await stable.manager.acquire(A)).release()


async def test_a_load_without_progress_is_stopped(stable: Stable) -> None:
    stable.hold_loads("a")
    request = await waiting(stable, "a")
    await stable.clock.advance(29)
    stable.launcher.worker("a").report(LoadProgress(stage="downloading", done_bytes=1))
    await stable.clock.advance(29)
    assert stable.manager.status("a").progress == LoadProgress(stage="downloading", done_bytes=1)
    stable.launcher.worker("a").report(LoadProgress(stage="downloading", done_bytes=1))
    await stable.clock.advance(1)
    with pytest.raises(ModelLoadError, match="no progress for 30 s"):
        await request
    assert await stable.state("a") is ModelState.FAILED
    assert stable.launcher.alive == []


async def test_a_wait_ends_at_its_deadline_and_says_what_for(stable: Stable) -> None:
    leases = [await stable.manager.acquire(spec) for spec in (A, B)]
    request = await waiting(stable, "c")
    await stable.clock.advance(60)
    with pytest.raises(WaitTimeoutError, match=r"a \(1 in flight\), b \(1") as caught:
        await request
    assert caught.value.retry_after_s is not None
    for lease in leases:
        lease.release()


async def test_too_many_waiters_are_refused_at_once() -> None:
    stable = Stable(max_waiting_per_model=2)
    await stable.manager.start()
    stable.hold_loads("a")
    requests = [await waiting(stable, "a") for _ in range(2)]
    with pytest.raises(QueueFullError) as caught:
        await stable.manager.acquire(A)
    assert caught.value.retry_after_s is not None
    (await stable.manager.acquire(B)).release()
    for request in requests:
        request.cancel()
    await close_and_check(stable)


async def test_unload_waits_for_leases_and_for_the_process(stable: Stable) -> None:
    stop = stable.launcher.model("a").stop_gate = asyncio.Event()
    lease = await stable.manager.acquire(A)
    unloading = asyncio.create_task(stable.manager.unload("a"))
    request = await waiting(stable, "a")
    assert stable.manager.status("a").state is ModelState.UNLOADING
    assert not stable.launcher.worker("a").stop_called
    lease.release()
    await settle()
    assert stable.launcher.worker("a").stop_called
    assert not unloading.done()
    stop.set()
    assert await unloading is True
    (await request).release()
    assert stable.num_loads("a") == 2


async def test_unloading_what_is_not_loaded_is_no_error(stable: Stable) -> None:
    assert await stable.manager.unload("a") is False
    assert await stable.manager.unload("nobody") is False


async def test_unload_stops_a_load_and_refuses_who_waits_for_it(stable: Stable) -> None:
    stable.hold_loads("a")
    request = await waiting(stable, "a")
    assert await stable.manager.unload("a") is True
    with pytest.raises(ModelUnloadedError):
        await request
    assert stable.launcher.alive == []


async def test_unload_all_names_what_it_unloaded(stable: Stable) -> None:
    for spec in (B, A):
        (await stable.manager.acquire(spec)).release()
    assert await stable.manager.unload_all() == ["a", "b"]
    assert await stable.manager.unload_all() == []
    assert stable.manager.current_model is None


async def test_force_reload_drains_and_loads_again(stable: Stable) -> None:
    lease = await stable.manager.acquire(A)
    reloading = asyncio.create_task(stable.manager.load(A, force_reload=True))
    await settle()
    assert not reloading.done()
    assert stable.num_loads("a") == 1
    lease.release()
    await reloading
    assert stable.num_loads("a") == 2
    await stable.manager.load(A)
    assert stable.num_loads("a") == 2


async def test_the_idle_clock_starts_when_the_last_lease_ends(stable: Stable) -> None:
    first, second = await stable.manager.acquire(A), await stable.manager.acquire(A)
    await stable.clock.advance(3600)
    first.release()
    await stable.clock.advance(3600)
    second.release()
    second.release()
    released_at = stable.clock.unix_time()
    await stable.clock.advance(599)
    assert stable.manager.status("a").state is ModelState.READY
    await stable.clock.advance(1)
    assert stable.manager.status("a").state is ModelState.UNLOADED
    assert stable.manager.status("a").last_used_at == pytest.approx(released_at)
    assert stable.launcher.alive == []


async def test_a_replaced_registry_touches_only_what_changed(stable: Stable) -> None:
    lease_a, lease_b = await stable.manager.acquire(A), await stable.manager.acquire(B)
    changed = msgspec.structs.replace(B, max_length=2048)
    change = stable.manager.replace_registry(Registry({"a": A, "b": changed, "d": make_spec("d")}))
    assert (change.added, change.removed, change.changed, change.unchanged) == (("d",), ("c",), ("b",), ("a",))
    request = await waiting(stable, "b")
    assert not request.done()
    assert await stable.state("a") is ModelState.READY
    lease_b.release()
    with await request as lease:
        assert lease.spec.max_length == 2048
    lease_a.release()
    assert stable.num_loads("a") == 1


async def test_a_removed_model_drains_and_refuses_who_waits(stable: Stable) -> None:
    stable.hold_loads("b")
    lease_a = await stable.manager.acquire(A)
    request_b = await waiting(stable, "b")
    stable.manager.replace_registry(make_registry("c"))
    with pytest.raises(ModelNotFoundError):
        await request_b
    with pytest.raises(ModelNotFoundError):
        await stable.manager.acquire(A)
    assert await stable.state("a") is ModelState.UNLOADING
    lease_a.release()
    assert await stable.state("a") is ModelState.UNLOADED
    assert stable.launcher.alive == []


async def test_close_refuses_who_waits_and_leaves_no_process(stable: Stable) -> None:
    stable.hold_loads("b")
    lease = await stable.manager.acquire(A)
    request = await waiting(stable, "b")
    await stable.manager.close()
    with pytest.raises(ShuttingDownError):
        await request
    with pytest.raises(ShuttingDownError):
        await stable.manager.acquire(A)
    assert stable.launcher.alive == []
    lease.release()


async def test_a_worker_that_dies_when_asked_is_left_out(stable: Stable) -> None:
    await stable.manager.load(A)
    await stable.manager.load(B)
    stable.launcher.model("a").devices_error = EngineDeadError("gone")
    assert await stable.manager.workers.device_memory() == {"b": []}


async def test_device_memory_is_asked_of_every_loaded_model(stable: Stable) -> None:
    devices = [DeviceMemory(device_id=0, allocated_bytes=1, reserved_bytes=2)]
    stable.launcher.model("a").devices = devices
    stable.launcher.model("a").cached_bytes = 10
    stable.launcher.model("b").cached_bytes = 5
    for spec in (A, B):
        await stable.manager.load(spec)
    assert await stable.manager.workers.device_memory() == {"a": devices, "b": []}
    assert await stable.manager.workers.free_cached_memory() == 15


async def test_each_step_of_a_models_life_is_one_line_in_the_log(
    stable: Stable, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="hostler.lifecycle")
    stable.launcher.model("a").progress = [LoadProgress(stage="loading"), LoadProgress(stage="loading", done_bytes=1)]
    (await stable.manager.acquire(A)).release()
    await stable.manager.unload("a")
    assert [record.getMessage().split()[0] for record in caplog.records] == [
        "model_loading",
        "model_load_stage",
        "model_loaded",
        "model_leaving",
        "model_unloaded",
    ]


async def test_busy_models_share_the_threads_and_a_lone_one_has_them_all(stable: Stable) -> None:
    first = await stable.manager.acquire(A)
    assert stable.launcher.worker("a").num_threads == 5
    second = await stable.manager.acquire(B)
    assert [stable.launcher.worker(model_id).num_threads for model_id in ("a", "b")] == [2, 2]
    again = await stable.manager.acquire(B)
    second.release()
    assert stable.launcher.worker("a").num_threads == 2
    again.release()
    assert stable.launcher.worker("a").num_threads == 5
    first.release()


# --- memory ---------------------------------------------------------------------------------------------------------


def takes(stable: Stable, model_id: str, share: float, load_s: float | None = None) -> None:
    """Let a model take that share of the budget for the host's memory."""
    num_bytes = int(stable.manager.budget[HOST] * share)
    stable.estimator.estimates[model_id] = Estimate(footprint=footprint(num_bytes), load_s=load_s)


async def test_a_model_is_placed_by_what_it_will_take(stable: Stable) -> None:
    takes(stable, "a", 0.6)
    takes(stable, "b", 0.6)
    lease = await stable.manager.acquire(A)
    assert stable.manager.reserved("a")[HOST] == int(stable.manager.budget[HOST] * 0.6)
    for_b = await waiting(stable, "b")
    assert stable.manager.status("b").state is ModelState.UNLOADED
    lease.release()
    (await for_b).release()
    assert stable.manager.loaded_ids() == ["b"]
    assert stable.manager.reserved("a") == {}


async def test_what_a_load_has_shown_is_recorded_and_corrects_the_reservation(stable: Stable) -> None:
    takes(stable, "a", 0.5)
    facts = stable.launcher.model("a").facts = msgspec.structs.replace(FACTS, host_bytes=1000)
    gate = stable.hold_loads("a")
    loading = await waiting(stable, "a")
    await stable.clock.advance(4)
    gate.set()
    (await loading).release()
    await settle()
    assert stable.manager.reserved("a") == {HOST: 1000, PLACES: 1}
    shown = msgspec.structs.replace(facts, load_s=4.0)
    assert stable.estimator.recorded == [("a", stable.estimator.estimates["a"].footprint, shown)]


async def test_the_seconds_of_a_download_are_not_expected_of_the_next_load(stable: Stable) -> None:
    gate = stable.hold_loads("a")
    loading = await waiting(stable, "a")
    for progress, seconds in (
        (LoadProgress(stage="starting"), 1),
        (LoadProgress(stage="downloading"), 20),
        (LoadProgress(stage="converting"), 10),
        (LoadProgress(stage="loading"), 3),
    ):
        stable.launcher.worker("a").report(progress)
        await stable.clock.advance(seconds)
    gate.set()
    (await loading).release()
    assert stable.manager.status("a").load_s == 4.0


async def test_a_worker_is_told_where_to_go_and_how_much_to_take(stable: Stable) -> None:
    stable.estimator.estimates["a"] = Estimate(
        footprint=msgspec.structs.replace(footprint(10), kv_cache_bytes=77), load_s=None
    )
    with await stable.manager.acquire(msgspec.structs.replace(A, device="auto")) as lease:
        assert (lease.spec.device, lease.spec.kv_cache_bytes) == ("cpu", 77)


async def test_an_estimate_that_fails_is_logged_and_stops_nobody(
    stable: Stable, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> Estimate:
        raise ValueError("unforeseen")

    monkeypatch.setattr(stable.estimator, "estimate", broken)
    (await stable.manager.acquire(A)).release()
    assert "estimate_broken model=a" in caplog.text


async def test_a_plan_changes_nothing_and_names_who_would_leave_and_why(stable: Stable) -> None:
    takes(stable, "a", 0.6)
    takes(stable, "b", 0.6, load_s=3.0)
    assert (await stable.manager.plan(B)).verdict == "fits"
    lease = await stable.manager.acquire(A)
    plan = await stable.manager.plan(B)
    assert (plan.verdict, plan.expected_s, plan.in_flight) == ("waits", None, {"a": 1})
    assert plan.lacking[HOST] > 0
    lease.release()
    await stable.clock.advance(9)
    plan = await stable.manager.plan(B)
    assert (plan.verdict, plan.expected_s) == ("fits_after_eviction", 3.0)
    (victim,) = plan.victims
    assert (victim.model_id, victim.idle_s) == ("a", 9.0)
    assert victim.reason.startswith("idle for 9 s")
    takes(stable, "c", 1.5)
    assert (await stable.manager.plan(C)).verdict == "never_fits"
    assert (await stable.manager.plan(A)).verdict == "loaded"
    assert stable.manager.loaded_ids() == ["a"]
    assert stable.num_loads("b") == 0


async def test_the_journal_tells_the_story_of_an_eviction(stable: Stable) -> None:
    takes(stable, "a", 0.6)
    takes(stable, "b", 0.6)
    (await stable.manager.acquire(A)).release()
    await stable.clock.advance(2)
    (await stable.manager.acquire(B)).release()
    story = [(entry.model_id, entry.kind.value) for entry in stable.manager.journal.last()]
    assert story == [
        ("a", "queued"),
        ("a", "loading"),
        ("a", "loaded"),
        ("b", "queued"),
        ("a", "leaving"),
        ("b", "waiting"),
        ("a", "unloaded"),
        ("b", "loading"),
        ("b", "loaded"),
    ]


async def test_a_worker_that_hangs_is_ended_and_the_next_request_starts_another(stable: Stable) -> None:
    lease = await stable.manager.acquire(A)
    stable.launcher.model("a").seconds_since_step = 119.0
    await stable.clock.advance(30)
    assert stable.manager.status("a").state is ModelState.READY
    stable.launcher.model("a").seconds_since_step = 120.0
    await stable.clock.advance(30)
    assert stable.manager.stuck_ids() == []
    assert stable.manager.status("a").state is ModelState.UNLOADED
    assert stable.launcher.alive == []
    stable.launcher.model("a").seconds_since_step = 0.0
    lease.release()
    (await stable.manager.acquire(A)).release()
    assert stable.num_loads("a") == 2


async def test_a_worker_that_gets_on_again_is_not_stuck_any_longer(stable: Stable) -> None:
    (await stable.manager.acquire(A)).release()
    for seconds, stuck in ((59.0, []), (60.0, ["a"]), (0.0, [])):
        stable.launcher.model("a").seconds_since_step = seconds
        await stable.clock.advance(30)
        assert stable.manager.stuck_ids() == stuck


async def test_a_request_may_say_how_long_its_model_stays(stable: Stable) -> None:
    (await stable.manager.acquire(A, keep_alive_s=5.0)).release()
    await stable.clock.advance(5)
    assert stable.manager.status("a").state is ModelState.UNLOADED


async def test_a_forced_unload_ends_what_runs(stable: Stable) -> None:
    lease = await stable.manager.acquire(A)
    assert await stable.manager.unload("a", force=True) is True
    assert stable.launcher.alive == []
    lease.release()
