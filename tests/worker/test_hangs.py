"""A worker whose engine makes no step is found out, ended, and started again on demand."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hostler.config import Settings, load_settings
from hostler.errors import EngineDeadError
from hostler.lifecycle.manager import ModelManager
from hostler.registry import Registry
from hostler.testing.estimator import FakeEstimator, NoGpus
from hostler.types import ModelState, SamplingParams, TextPrompt, TokenPrompt
from hostler.worker.launcher import ForkserverLauncher
from tests.worker.loading import loaded, spec_of, until_idle
from tests.worker.obedience import Gate
from tests.worker.obedient_gpt2 import OBEYED, STICK, WAIT

GREEDY = SamplingParams(temperature=0, max_tokens=3, ignore_eos=True, logit_bias=dict.fromkeys(OBEYED, -100.0))
"""Chosen by itself, one of these would be obeyed as well."""


async def test_a_worker_tells_how_long_its_step_has_gone_on_and_nothing_while_it_idles(
    launcher: ForkserverLauncher, obedient_folder: Path, gate: Gate
) -> None:
    worker = await loaded(launcher, obedient_folder, trust_remote_code=True)
    assert await worker.seconds_since_step() == 0
    generation = await worker.generate(TokenPrompt(token_ids=[WAIT]), GREEDY)
    await gate.begun()
    first = await worker.seconds_since_step()
    second = await worker.seconds_since_step()
    assert 0 < first < second
    gate.go()
    assert len([delta async for delta in generation]) == 3
    await until_idle(worker)
    await worker.stop()


async def test_a_worker_that_loads_has_not_hung(launcher: ForkserverLauncher, obedient_folder: Path) -> None:
    worker = await launcher.launch(spec_of(obedient_folder, trust_remote_code=True))
    begun = asyncio.Event()
    loading = asyncio.create_task(worker.load(lambda _: begun.set()))
    await begun.wait()
    assert await worker.seconds_since_step() == 0
    await loading
    await worker.stop()


async def test_a_dead_worker_is_no_hung_one(launcher: ForkserverLauncher, obedient_folder: Path) -> None:
    worker = await loaded(launcher, obedient_folder, trust_remote_code=True)
    worker._process.kill()
    with pytest.raises(EngineDeadError):
        await worker.seconds_since_step()
    await worker.wait_exited()
    with pytest.raises(EngineDeadError):
        await worker.seconds_since_step()


@pytest.fixture
async def manager(
    launcher: ForkserverLauncher, obedient_folder: Path, settings: Settings, tmp_path: Path
) -> AsyncIterator[ModelManager]:
    impatient = load_settings(None, {"hostler_cache_dir": tmp_path / "cache", "hang_timeout_s": 2.0})
    registry = Registry({"obedient": spec_of(obedient_folder, id="obedient", trust_remote_code=True)})
    manager = ModelManager(registry, impatient, launcher, FakeEstimator(), gpus=NoGpus())
    await manager.start()
    yield manager
    await manager.close()


@pytest.mark.parametrize("token_id", [WAIT, pytest.param(STICK, marks=pytest.mark.long)])
async def test_a_hung_model_is_ended_and_the_next_request_is_answered(
    token_id: int, manager: ModelManager, gate: Gate
) -> None:
    lease = await manager.acquire(manager.registry["obedient"])
    hung = await lease.engine.generate(TokenPrompt(token_ids=[token_id]), GREEDY)
    await gate.begun()
    with pytest.raises(EngineDeadError):
        _ = [delta async for delta in hung]
    lease.release()
    assert "made no step" in (manager.status("obedient").last_error or "")
    lease = await manager.acquire(manager.registry["obedient"])
    answer = await lease.engine.generate(TextPrompt(text="The mare"), GREEDY)
    assert len([delta async for delta in answer]) == 3
    lease.release()
    assert manager.status("obedient").state is ModelState.READY
