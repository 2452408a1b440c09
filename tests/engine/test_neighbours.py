"""No answer depends on what else the engine does: random requests at random times, each held against itself alone."""

import random
from collections.abc import Callable

import pytest

from hostler.types import FinishReason, SamplingParams, TokenPrompt
from tests.engine.harness import Collected, TinyEngine, TinyModel
from tests.engine.test_generation import random_prompts

Tiny = Callable[[str], TinyModel]

NUM_REQUESTS = 12
STOP_STRINGS = ["e", "th", " a", "or", "\n", "se", "in "]


def random_params(rng: random.Random) -> SamplingParams:
    """Anything that a caller may ask for, greedy or seeded, since only those can be asked twice."""
    is_greedy = rng.random() < 0.4
    return SamplingParams(
        n=1 if is_greedy else rng.choice([1, 1, 2, 3]),
        max_tokens=rng.randint(1, 20),
        min_tokens=rng.choice([0, 0, 3]),
        temperature=0.0 if is_greedy else rng.uniform(0.2, 1.5),
        top_p=rng.choice([1.0, 0.9, 0.5]),
        top_k=rng.choice([0, 0, 5, 50]),
        min_p=rng.choice([0.0, 0.0, 0.1]),
        repetition_penalty=rng.choice([1.0, 1.0, 1.3]),
        presence_penalty=rng.choice([0.0, 0.0, 0.7]),
        frequency_penalty=rng.choice([0.0, 0.0, 0.4]),
        logit_bias=rng.choice([{}, {}, {rng.randint(0, 200): rng.uniform(-5.0, 5.0)}]),
        seed=rng.randint(0, 1 << 30),
        stop=rng.sample(STOP_STRINGS, k=rng.choice([0, 0, 1, 2])),
        ignore_eos=rng.random() < 0.3,
    )


def alone(model: TinyModel, prompt: list[int], params: SamplingParams) -> list[Collected]:
    engine = TinyEngine(model)
    engine.add(0, TokenPrompt(token_ids=prompt), params)
    engine.run()
    return [engine.sequences[0, index] for index in range(params.n)]


@pytest.mark.parametrize(
    ("family", "seed"),
    [
        *(("llama", seed) for seed in range(3)),
        *(("gemma3", seed) for seed in range(3)),
        ("jamba", 0),
        *(
            pytest.param(family, seed, marks=pytest.mark.long)
            for family in ("bloom", "gpt_neo", "mamba2")
            for seed in range(4, 24)
        ),
    ],
)
def test_every_request_is_answered_as_if_it_were_alone(family: str, seed: int, tiny: Tiny) -> None:
    model = tiny(family)
    rng = random.Random(seed)
    prompts = random_prompts(model, NUM_REQUESTS, seed=100 + seed)
    params = [random_params(rng) for _ in prompts]
    engine = TinyEngine(
        model, max_num_seqs=rng.randint(2, 8), max_num_batched_tokens=rng.choice([8, 32, 512]), cache_tokens=512
    )
    aborted: set[int] = set()
    for request_id, prompt in enumerate(prompts):
        engine.add(request_id, TokenPrompt(token_ids=prompt), params[request_id], priority=rng.randint(-1, 1))
        for _ in range(rng.randint(0, 5)):
            if engine.core.has_unfinished_requests():
                engine.step()
        if rng.random() < 0.2:
            victim = rng.randint(0, request_id)
            engine.core.abort(victim)
            aborted.add(victim)
    engine.run()
    assert not engine.failures
    assert engine.scheduler.kv_cache.num_used_tokens == 0
    for request_id, prompt in enumerate(prompts):
        for index, expected in enumerate(alone(model, prompt, params[request_id])):
            given = engine.sequences[request_id, index]
            if request_id in aborted and given.finish_reason is None:
                assert expected.token_ids[: len(given.token_ids)] == given.token_ids
                assert expected.text.startswith(given.text)
            else:
                assert given == expected
                assert given.finish_reason in (FinishReason.STOP, FinishReason.LENGTH)
