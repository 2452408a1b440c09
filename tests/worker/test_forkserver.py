"""Workers are forked from one process, told of their ends by it, and find in it what earlier ones have read."""

import asyncio
import json
import os
import signal
import socket
from pathlib import Path

import psutil
import pytest

from hostler.config import Settings
from hostler.errors import ModelLoadError
from hostler.types import SamplingParams, TextPrompt
from hostler.worker import forked
from hostler.worker.forked import ForkedProcess, Forkserver
from hostler.worker.launcher import ForkserverLauncher
from tests.tiny_models import build_tiny_model
from tests.worker.loading import loaded, spec_of
from tests.worker.pidfds import not_ended

TIMEOUT_S = 30.0
TEXT = TextPrompt(text="The grey mare")


def fork(forkserver: Forkserver) -> tuple[socket.socket, ForkedProcess]:
    ours, theirs = socket.socketpair()
    with theirs:
        return ours, forkserver.fork(theirs)


def test_it_tells_how_a_process_has_ended(forkserver: Forkserver) -> None:
    gateway, process = fork(forkserver)
    gateway.close()
    assert process.wait() == 0
    gateway, process = fork(forkserver)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.kill()
    gateway.close()


def test_it_holds_nothing_of_processes_that_have_ended(forkserver: Forkserver) -> None:
    counts = []
    for _ in range(3):
        gateway, process = fork(forkserver)
        parent = psutil.Process(process.pid).parent()
        assert parent is not None
        counts.append(parent.num_fds())
        process.kill()
        assert process.wait() == -signal.SIGKILL
        gateway.close()
    # The first may have found the end of another test's worker unread.
    assert counts[1] == counts[2] <= counts[0]


def test_a_process_that_is_abandoned_ends_and_others_are_forked(forkserver: Forkserver) -> None:
    gateway, process = fork(forkserver)
    process.abandon()
    assert not not_ended([process.pid], TIMEOUT_S)
    gateway.close()
    gateway, process = fork(forkserver)
    gateway.close()
    assert process.wait() == 0


async def test_one_that_cannot_be_started_is_said_to_whoever_wanted_a_model(
    settings: Settings, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forked, "_MODULE", "hostler.none_such")
    launcher = ForkserverLauncher(settings)
    await launcher.start()
    with pytest.raises(ModelLoadError, match="no process could be started for gpt2"):
        await launcher.launch(spec_of(folders["gpt2"]))
    await launcher.close()
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(OSError, match="no worker is started any more"):
        launcher._forkserver.fork(theirs)


async def test_the_next_worker_has_the_tokenizer_that_was_used_until_its_file_changes(
    launcher: ForkserverLauncher, tmp_path: Path
) -> None:
    folder = build_tiny_model("gpt2", tmp_path / "tiny")
    file = folder / "tokenizer.json"
    written = file.read_text()
    token_ids = await _token_ids(launcher, folder)
    changed = _with_swapped(written, token_ids[:2])
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            await _use(launcher, folder)
            # In place, of the same size and age: only who reads the file can know, and has other tokens then.
            times = (file.stat().st_atime_ns, file.stat().st_mtime_ns)
            file.write_text(changed)
            os.utime(file, ns=times)
            if await _token_ids(launcher, folder) == token_ids:
                break
            # The forkserver has not got to it before the change.
            file.write_text(written)
    os.utime(file, ns=(1, 1))
    assert await _token_ids(launcher, folder) != token_ids


async def _token_ids(launcher: ForkserverLauncher, folder: Path) -> list[int]:
    """As the next worker sees it."""
    worker = await loaded(launcher, folder)
    token_ids = await worker.tokenize(TEXT)
    await worker.stop()
    return token_ids


async def _use(launcher: ForkserverLauncher, folder: Path) -> None:
    """Have a model answer, and do what it does when nobody waits for it."""
    worker = await loaded(launcher, folder)
    generation = await worker.generate(TEXT, SamplingParams(max_tokens=2, ignore_eos=True))
    assert [delta async for delta in generation]
    await worker.free_cached_memory()
    await worker.stop()


def _with_swapped(written: str, token_ids: list[int]) -> str:
    """A `tokenizer.json` of the same size, in which two tokens have each other's ids."""
    tokenizer = json.loads(written)
    vocab = tokenizer["model"]["vocab"]
    one, other = (token for token, token_id in vocab.items() if token_id in token_ids)
    vocab[one], vocab[other] = vocab[other], vocab[one]
    changed = json.dumps(tokenizer, ensure_ascii=False, indent=2)
    assert len(changed) == len(written)
    return changed
