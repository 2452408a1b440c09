"""Loads that fail, workers that die or hang, and what becomes of requests then."""

import asyncio

import pytest

from hostler.errors import (
    EngineDeadError,
    GatedModelError,
    ModelLoadError,
    ModelUnloadedError,
)
from hostler.types import LoadProgress, ModelState, SamplingParams
from tests.lifecycle.managed import PROMPT, A, B, Stable, waiting


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


async def test_a_worker_that_dies_when_asked_is_left_out(stable: Stable) -> None:
    await stable.manager.load(A)
    await stable.manager.load(B)
    stable.launcher.model("a").devices_error = EngineDeadError("gone")
    assert await stable.manager.workers.device_memory() == {"b": []}


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
