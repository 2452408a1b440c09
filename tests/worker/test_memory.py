"""A worker, and its gateway's client, hold nothing of the requests that are over, however they ended."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import psutil
import pytest

from hostler.errors import HostlerError
from hostler.types import SamplingParams, TextPrompt, TokenDelta, TokenPrompt
from hostler.worker.client import WorkerClient
from hostler.worker.generation import WorkerGeneration
from hostler.worker.launcher import ForkserverLauncher
from tests.e2e.chaos.watch import own_bytes
from tests.tiny_models import build_tiny_model
from tests.worker.loading import loaded
from tests.worker.obedient_gpt2 import FAIL, OBEYED

WAVE = 50
MAX_GROWTH_BYTES = 6 * 2**20
"""Six kilobytes for each of the measured requests; a request that is kept, with its caches, has more."""
NUM_TRIES = 3
"""Of a thousand requests. Those that are kept show each time; huge pages by which the heap grows, of two megabytes, do
not."""

NUM_WARMING, NUM_COUNTED = 14_000, 8_000
"""The tokenizer keeps the last 10,000 words, and each prompt is one of its own."""
MAX_KEPT_BYTES = 512
"""Of each counted request, in float32: what oneDNN compiles for 16 bits, and forgets, moves the heap by more than that.
A leak of a kilobyte is twice of what is allowed, and a huge page of the heap, by which it grows, half."""


async def first_of(deltas: AsyncIterator[TokenDelta]) -> None:
    async for _ in deltas:
        return


async def one_request(worker: WorkerClient, number: int) -> None:
    """Answered, refused, failed in the model, or given up: at once, or after its first token."""
    # Drawn by chance, these would be obeyed as well.
    bias = dict.fromkeys(OBEYED, -100.0)
    params = SamplingParams(n=1 + number % 2, max_tokens=2, seed=number, stop=["e"], logprobs=1, logit_bias=bias)
    prompt: TextPrompt | TokenPrompt = TextPrompt(text=f"The horse {number}")
    if number % 10 == 3:
        prompt = TokenPrompt(token_ids=[5] * 5000)
    if number % WAVE == 4:
        prompt = TokenPrompt(token_ids=[FAIL])
    try:
        generation = await worker.generate(prompt, params)
        if number % 5 == 0:
            generation.abort()
        elif number % 5 == 1:
            await first_of(aiter(generation))
            generation.abort()
        else:
            async for _ in generation:
                pass
    except HostlerError:
        return


async def serve(worker: WorkerClient, numbers: Sequence[int]) -> None:
    for start in range(0, len(numbers), WAVE):
        await asyncio.gather(*(one_request(worker, number) for number in numbers[start : start + WAVE]))
    # Answered between two steps, when the aborts have been read.
    await worker.free_cached_memory()


def live_generations() -> list[WorkerGeneration]:
    gc.collect()
    return [item for item in gc.get_objects() if type(item) is WorkerGeneration]


async def test_neither_side_grows_with_the_number_of_requests(
    launcher: ForkserverLauncher, obedient_folder: Path
) -> None:
    of_other_tests = weakref.WeakSet(live_generations())
    worker = await loaded(launcher, obedient_folder, trust_remote_code=True)
    await serve(worker, range(500))
    process = psutil.Process(worker.pid)
    for _ in range(NUM_TRIES):
        bytes_before = process.memory_info().rss
        await serve(worker, range(1000))
        growth_bytes = process.memory_info().rss - bytes_before
        if growth_bytes < MAX_GROWTH_BYTES:
            break
    assert growth_bytes < MAX_GROWTH_BYTES
    assert not worker._generations
    assert set(live_generations()) <= set(of_other_tests)
    await worker.stop()


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_a_worker_that_has_its_size_keeps_nothing_of_a_request(
    launcher: ForkserverLauncher, tmp_path: Path
) -> None:
    worker = await loaded(launcher, build_tiny_model("llama", tmp_path / "llama"))
    await serve(worker, range(NUM_WARMING))
    process = psutil.Process(worker.pid)
    bytes_before = own_bytes(process)
    await serve(worker, range(NUM_WARMING, NUM_WARMING + NUM_COUNTED))
    assert own_bytes(process) - bytes_before < NUM_COUNTED * MAX_KEPT_BYTES
    await worker.stop()
