"""What is left of a gateway that was killed: nothing."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from hostler.errors import EngineDeadError
from hostler.types import SamplingParams, TokenPrompt
from hostler.worker.launcher import ForkserverLauncher
from tests.worker.loading import loaded
from tests.worker.obedience import Gate, build_obedient_model
from tests.worker.obedient_gpt2 import STICK, WAIT
from tests.worker.pidfds import not_ended

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")

TIMEOUT_S = 30.0


@pytest.mark.long
async def test_workers_and_files_of_a_killed_gateway_go_whatever_they_do(obedient_folder: Path, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    gateway = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.worker.lonely_gateway"),
        *(obedient_folder, build_obedient_model(tmp_path / "stuck", at_load=[STICK]), tmp_path / "cache"),
        env={**os.environ, "TMPDIR": str(temporary), "HF_MODULES_CACHE": str(tmp_path / "modules")},
        stdout=asyncio.subprocess.PIPE,
    )
    assert gateway.stdout is not None
    try:
        assert await gateway.stdout.readline() == b"ready\n"
        family = psutil.Process(gateway.pid).children(recursive=True)
        # The forkserver and four workers, each with a keeper of renderers.
        assert len(family) == 9
    finally:
        gateway.kill()
    assert await gateway.wait() == -signal.SIGKILL
    assert not await asyncio.to_thread(not_ended, [process.pid for process in family], TIMEOUT_S)
    assert not list(temporary.iterdir())


@pytest.mark.long
async def test_a_forkserver_that_is_killed_takes_its_workers_with_it_and_the_next_launch_has_another(
    launcher: ForkserverLauncher, obedient_folder: Path, gate: Gate
) -> None:
    worker = await loaded(launcher, obedient_folder, trust_remote_code=True)
    generation = await worker.generate(TokenPrompt(token_ids=[WAIT]), SamplingParams())
    await gate.begun()
    os.kill(psutil.Process(worker.pid).ppid(), signal.SIGKILL)
    with pytest.raises(EngineDeadError):
        _ = [delta async for delta in generation]
    assert not await asyncio.to_thread(not_ended, [worker.pid], TIMEOUT_S)
    follower = await loaded(launcher, obedient_folder, trust_remote_code=True)
    await follower.stop()


async def test_a_sigterm_to_the_whole_group_leaves_forkserver_and_workers_to_the_gateway(
    launcher: ForkserverLauncher, obedient_folder: Path
) -> None:
    worker = await loaded(launcher, obedient_folder, trust_remote_code=True)
    forkserver_pid = psutil.Process(worker.pid).ppid()
    for pid in (forkserver_pid, worker.pid):
        os.kill(pid, signal.SIGTERM)
    # Greedy: one token in a hundred of those that may be drawn is obeyed.
    params = SamplingParams(temperature=0, max_tokens=2, ignore_eos=True)
    generation = await worker.generate(TokenPrompt(token_ids=[40, 41]), params)
    assert len([delta async for delta in generation]) == 2
    follower = await loaded(launcher, obedient_folder, trust_remote_code=True)
    assert psutil.Process(follower.pid).ppid() == forkserver_pid
    await asyncio.gather(worker.stop(), follower.stop())
