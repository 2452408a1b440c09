"""An engine that has served thousands of requests holds no more than one that has served a few."""

import gc
import random
from collections import Counter
from collections.abc import Callable

import psutil
import pytest

from hostler.engine.kv_cache import BLOCK_SIZE
from hostler.engine.request import Request
from hostler.types import SamplingParams, TokenPrompt
from tests.engine.harness import TinyEngine, TinyModel

Tiny = Callable[[str], TinyModel]

CACHE_TOKENS = 1024
BATCH = 100
"""Requests that are added at once, more than run at a time."""
MAX_GROWTH_BYTES = 8 * 2**20
"""A kilobyte kept of each request would be more; what allocators scatter is less."""
NUM_TRIES = 3
"""What is kept of requests shows each time; what else happens to the heap of a process that other tests have used does
not."""


def random_params(rng: random.Random) -> SamplingParams:
    return SamplingParams(
        n=rng.choice([1, 1, 1, 3]),
        max_tokens=rng.randint(1, 3),
        temperature=rng.choice([0.0, 1.0]),
        top_k=rng.choice([0, 20]),
        repetition_penalty=rng.choice([1.0, 1.2]),
        frequency_penalty=rng.choice([0.0, 0.5]),
        logit_bias=rng.choice([{}, {5: 1.0}]),
        logprobs=rng.choice([None, None, 2]),
        prompt_logprobs=rng.choice([None, None, None, 0]),
        stop=rng.choice([[], ["e"]]),
    )


def serve(engine: TinyEngine, rng: random.Random, num_requests: int, *, is_causal: bool = True) -> None:
    """Some requests are given up: while they wait, or while they run."""
    for _ in range(num_requests // BATCH):
        for request_id in range(BATCH):
            params = random_params(rng)
            if not is_causal:
                params = SamplingParams(n=params.n, max_tokens=params.max_tokens, temperature=params.temperature)
            prompt = TokenPrompt(token_ids=rng.choices(range(10, 200), k=rng.choice([rng.randint(1, 12), 40])))
            engine.add(request_id, prompt, params)
        for request_id in rng.sample(range(BATCH), k=10):
            engine.core.abort(request_id)
        engine.step()
        for request_id in rng.sample(range(BATCH), k=10):
            engine.core.abort(request_id)
        engine.run()
        engine.sequences.clear()


def count_objects() -> tuple[Counter[str], int]:
    """Live objects by class, and the bytes of the process."""
    gc.collect()
    return Counter(type(item).__name__ for item in gc.get_objects()), psutil.Process().memory_info().rss


@pytest.mark.parametrize(
    ("family", "num_requests"),
    [
        ("gpt2", 1000),
        ("t5", 600),
        pytest.param("gpt2", 10_000, marks=pytest.mark.long),
        pytest.param("llama", 10_000, marks=pytest.mark.long),
        pytest.param("t5", 10_000, marks=pytest.mark.long),
        pytest.param("mamba2", 2000, marks=pytest.mark.long),
    ],
)
def test_memory_does_not_grow_with_the_number_of_requests(family: str, num_requests: int, tiny: Tiny) -> None:
    model = tiny(family)
    engine, rng = TinyEngine(model, cache_tokens=CACHE_TOKENS), random.Random(1)
    # Caches of tokenizers and libraries, and the allocators' arenas, find their size first.
    serve(engine, rng, num_requests // 2, is_causal=not model.is_encoder_decoder)
    for _ in range(NUM_TRIES):
        objects_before, bytes_before = count_objects()
        serve(engine, rng, num_requests, is_causal=not model.is_encoder_decoder)
        objects, num_bytes = count_objects()
        if num_bytes - bytes_before < MAX_GROWTH_BYTES:
            break
    grown = {name: count - objects_before[name] for name, count in objects.items()}
    # What is kept for others to begin with is bounded by the cache.
    assert grown.get(Request.__name__, 0) <= CACHE_TOKENS // BLOCK_SIZE
    assert engine.scheduler.kv_cache.num_kept_tokens <= CACHE_TOKENS
    assert {name: growth for name, growth in grown.items() if growth > num_requests // 10} == {}
    assert num_bytes - bytes_before < MAX_GROWTH_BYTES
    assert engine.scheduler.kv_cache.num_used_tokens == 0
