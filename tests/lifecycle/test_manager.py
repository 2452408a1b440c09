"""What requests, commands and time make of models."""

import asyncio
import logging

import msgspec
import pytest

from hostler.errors import (
    ModelNotFoundError,
    ModelUnloadedError,
    QueueFullError,
    ShuttingDownError,
    WaitTimeoutError,
)
from hostler.memory import DeviceMemory
from hostler.registry import Registry
from hostler.testing.model import FACTS
from hostler.types import LoadProgress, ModelState, SamplingParams
from tests.fake_clock import settle
from tests.lifecycle.managed import PROMPT, A, B, C, Stable, close_and_check, waiting
from tests.lifecycle.specs import make_registry, make_spec


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


async def test_a_request_may_say_how_long_its_model_stays(stable: Stable) -> None:
    (await stable.manager.acquire(A, keep_alive_s=5.0)).release()
    await stable.clock.advance(5)
    assert stable.manager.status("a").state is ModelState.UNLOADED


async def test_a_forced_unload_ends_what_runs(stable: Stable) -> None:
    lease = await stable.manager.acquire(A)
    assert await stable.manager.unload("a", force=True) is True
    assert stable.launcher.alive == []
    lease.release()
