"""How the tests of real workers load a folder."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from hostler.registry import FolderSource, ModelSpec
from hostler.worker.client import WorkerClient
from hostler.worker.launcher import ForkserverLauncher
from tests.models import specs


def spec_of(folder: Path, **changes: Any) -> ModelSpec:
    """An entry for the folder, called as it is."""
    own = {"id": folder.name, "max_length": 128, "max_num_seqs": 8}
    return specs.spec_of(FolderSource(path=str(folder)), **(own | changes))


async def loaded(launcher: ForkserverLauncher, folder: Path, **changes: Any) -> WorkerClient:
    """A worker that is ready; `changes` to its spec."""
    worker = await launcher.launch(spec_of(folder, **changes))
    await worker.load(lambda _: None)
    return worker


@contextmanager
def standing_still(worker: WorkerClient) -> Iterator[None]:
    """Meanwhile its process does nothing: whatever is sent to it is there when it goes on."""
    process = psutil.Process(worker.pid)
    process.suspend()
    while process.status() != psutil.STATUS_STOPPED:
        pass
    try:
        yield
    finally:
        with suppress(psutil.NoSuchProcess):
            process.resume()


async def until_idle(worker: WorkerClient) -> None:
    """One that has sent its last answer is about to find that there is nothing more to do."""
    async with asyncio.timeout(30):
        while await worker.seconds_since_step():
            pass
