"""Real workers under requests that fail, that are too many, and that are given up half-way."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from hostler.errors import (
    EngineDeadError,
    EngineRequestError,
    HostlerError,
    ModelLoadError,
    QueueFullError,
    ServiceError,
)
from hostler.types import SamplingParams, TokenPrompt
from hostler.worker.client import WorkerClient
from hostler.worker.generation import WorkerGeneration
from hostler.worker.launcher import ForkserverLauncher
from tests.worker.loading import loaded, spec_of, standing_still
from tests.worker.obedience import Gate, build_obedient_model
from tests.worker.obedient_gpt2 import FAIL, RUN_OUT_OF_MEMORY, WAIT

HARMLESS = TokenPrompt(token_ids=[40, 41, 42])
BUDGET = 64


async def obedient(launcher: ForkserverLauncher, folder: Path, **changes: object) -> WorkerClient:
    return await loaded(
        launcher, folder, trust_remote_code=True, max_length=4200, max_num_batched_tokens=BUDGET, **changes
    )


async def read(generation: WorkerGeneration) -> list[int]:
    return [token_id async for delta in generation for token_id in delta.token_ids]


async def answer(worker: WorkerClient, prompt: TokenPrompt = HARMLESS, num_tokens: int = 3) -> list[int]:
    params = SamplingParams(temperature=0, max_tokens=num_tokens, ignore_eos=True)
    return await read(await worker.generate(prompt, params))


async def test_a_request_that_fails_in_the_model_fails_alone_and_the_worker_goes_on(
    launcher: ForkserverLauncher, obedient_folder: Path
) -> None:
    worker = await obedient(launcher, obedient_folder)
    expected = await answer(worker)
    for _ in range(4):
        with pytest.raises(EngineRequestError, match="while it computed this request"):
            await answer(worker, TokenPrompt(token_ids=[FAIL]))
        with pytest.raises(ServiceError, match="not enough memory"):
            await answer(worker, TokenPrompt(token_ids=[RUN_OUT_OF_MEMORY]))
        assert await answer(worker) == expected
    await worker.stop()


async def test_a_worker_that_only_fails_ends_itself_and_its_requests_are_told(
    launcher: ForkserverLauncher, obedient_folder: Path
) -> None:
    worker = await obedient(launcher, obedient_folder, max_num_seqs=1)
    prompts = [*[TokenPrompt(token_ids=[FAIL])] * 3, HARMLESS]
    # What is sent to a worker that has ended costs what it has answered.
    with standing_still(worker):
        asked = [asyncio.create_task(answer(worker, prompt)) for prompt in prompts]
        await asyncio.sleep(0)
    first, second, third, last = await asyncio.gather(*asked, return_exceptions=True)
    assert (type(first), type(second)) == (EngineRequestError, EngineRequestError)
    assert (type(third), type(last)) == (EngineDeadError, EngineDeadError)
    assert await worker.wait_exited() == "exit status 70"


async def test_a_message_that_nobody_can_read_ends_the_worker_instead_of_making_it_deaf(
    launcher: ForkserverLauncher, obedient_folder: Path
) -> None:
    worker = await obedient(launcher, obedient_folder)
    worker._writer.write(b"\x00\x00\x00\x02\xc1\xc1")
    with pytest.raises(EngineDeadError):
        await answer(worker)
    assert await worker.wait_exited() == "exit status 70"


async def test_a_request_beyond_the_queue_is_refused_and_the_others_are_answered(
    launcher: ForkserverLauncher, obedient_folder: Path, gate: Gate
) -> None:
    worker = await obedient(launcher, obedient_folder, max_num_seqs=1, max_queued_requests=2)
    expected = await answer(worker)
    params = SamplingParams(max_tokens=1)
    held_up = await worker.generate(TokenPrompt(token_ids=[WAIT]), params)
    await gate.begun()
    # The request in the forward pass counts until the pass is over.
    waiting = await worker.generate(HARMLESS, SamplingParams(temperature=0, max_tokens=3, n=4, ignore_eos=True))
    with pytest.raises(QueueFullError, match="2 requests wait") as caught:
        await worker.generate(HARMLESS, params)
    assert caught.value.retry_after_s is not None
    assert caught.value.retry_after_s >= 1
    gate.go()
    assert len(await read(held_up)) == 1
    assert await read(waiting) == expected * 4
    assert await answer(worker) == expected
    await worker.stop()


async def test_an_aborted_or_refused_request_leaves_its_place_in_the_queue(
    launcher: ForkserverLauncher, obedient_folder: Path, gate: Gate
) -> None:
    worker = await obedient(launcher, obedient_folder, max_num_seqs=1, max_queued_requests=2)
    expected = await answer(worker)
    for _ in range(3):
        with pytest.raises(HostlerError):
            await answer(worker, TokenPrompt(token_ids=[10**6]))
    held_up = await worker.generate(TokenPrompt(token_ids=[WAIT]), SamplingParams(max_tokens=1))
    await gate.begun()
    (await worker.generate(HARMLESS, SamplingParams())).abort()
    gate.go()
    await read(held_up)
    # Done between two steps, as aborts are, and after this one: its place is free when the answer comes.
    await worker.free_cached_memory()
    assert list(await asyncio.gather(answer(worker), answer(worker))) == [expected, expected]
    await worker.stop()


async def test_a_long_prompt_is_aborted_within_one_step(
    launcher: ForkserverLauncher, obedient_folder: Path, gate: Gate
) -> None:
    worker = await obedient(launcher, obedient_folder)
    generation = await worker.generate(TokenPrompt(token_ids=[WAIT] * 4000), SamplingParams())
    for _ in range(5):
        await gate.step()
    await gate.begun()
    generation.abort()
    follower = await worker.generate(HARMLESS, SamplingParams(temperature=0, max_tokens=3, ignore_eos=True))
    # The reader has the abort, since it has admitted what came after; the sixth of 63 pieces is the last one.
    gate.go()
    assert len(await read(follower)) == 3
    assert await worker.free_cached_memory() == 0
    await worker.stop()


async def test_requests_of_a_worker_that_is_killed_in_a_step_are_told_at_once(
    launcher: ForkserverLauncher, obedient_folder: Path, gate: Gate
) -> None:
    worker = await obedient(launcher, obedient_folder)
    generation = await worker.generate(TokenPrompt(token_ids=[WAIT]), SamplingParams())
    await gate.begun()
    waiting = await worker.generate(HARMLESS, SamplingParams())
    os.kill(worker.pid, signal.SIGKILL)
    for request in (generation, waiting):
        with pytest.raises(EngineDeadError) as caught:
            await read(request)
        assert caught.value.retryable


async def test_a_load_that_runs_out_of_memory_says_so(launcher: ForkserverLauncher, tmp_path: Path) -> None:
    folder = build_obedient_model(tmp_path / "large", at_load=[RUN_OUT_OF_MEMORY])
    worker = await launcher.launch(spec_of(folder, trust_remote_code=True))
    with pytest.raises(ModelLoadError, match=r"does not fit into the memory that is free \(its weights have \d+ bytes"):
        await worker.load(lambda _: None)
    await worker.wait_exited()
