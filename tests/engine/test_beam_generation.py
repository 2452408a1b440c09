"""Beam search: token for token what `model.generate()` gives, whatever else the engine does meanwhile."""

import random
from collections.abc import Callable

import pytest

from hostler.types import BeamParams, SamplingParams, TokenPrompt
from tests.engine.beam_reference import answers, assert_same, best_of_generate, search, search_params
from tests.engine.harness import TinyEngine, TinyModel
from tests.engine.test_generation import random_prompts
from tests.tiny_models import (
    ALONE_FAMILIES,
    ALONE_SEQ2SEQ_FAMILIES,
    CAUSAL_FAMILIES,
    FAMILIES,
    SEQ2SEQ_FAMILIES,
)

Tiny = Callable[[str], TinyModel]

EVERY_FAMILY = (*FAMILIES, *CAUSAL_FAMILIES, *ALONE_FAMILIES, *SEQ2SEQ_FAMILIES, *ALONE_SEQ2SEQ_FAMILIES)
FEW_FAMILIES = ("gpt2", "llama", "bloom", "gemma3", "mamba", "jamba", "t5", "bart", "marian", "prophetnet")


def random_params(rng: random.Random, end_id: int) -> SamplingParams:
    """Any search; often one whose model is talked into ending, which tiny ones seldom do by themselves."""
    num_beams = rng.randint(2, 6)
    return SamplingParams(
        n=rng.randint(1, num_beams),
        max_tokens=rng.randint(6, 20),
        logit_bias={end_id: rng.choice([0.0, 4.0, 8.0, 12.0])},
        beams=BeamParams(
            num_beams=num_beams,
            length_penalty=rng.choice([-1.0, 0.0, 0.6, 1.0, 2.0]),
            early_stopping=rng.choice([True, False, "never"]),
        ),
    )


def expected_of(tiny: TinyModel, prompt: list[int], params: SamplingParams) -> list[tuple[list[int], float]]:
    assert params.beams is not None
    assert params.max_tokens is not None
    return best_of_generate(
        tiny,
        prompt,
        params.max_tokens,
        num_beams=params.beams.num_beams,
        length_penalty=params.beams.length_penalty,
        early_stopping=params.beams.early_stopping,
        sequence_bias=[[[token_id], bias] for token_id, bias in params.logit_bias.items()],
    )


@pytest.mark.parametrize(
    "family",
    [
        *FEW_FAMILIES,
        *(pytest.param(family, marks=pytest.mark.long) for family in EVERY_FAMILY if family not in FEW_FAMILIES),
    ],
)
def test_searches_that_join_and_leave_at_random_equal_generate(family: str, tiny: Tiny) -> None:
    model = tiny(family)
    rng = random.Random(5)
    prompts = random_prompts(model, 8, seed=21)
    params = [random_params(rng, model.model.generation_config.eos_token_id) for _ in prompts]
    # Prompts take several steps, and the beams of three requests hardly ever fit.
    engine = TinyEngine(model, max_num_seqs=20, max_num_batched_tokens=24, cache_tokens=1024)
    for request_id, prompt in enumerate(prompts):
        engine.add(request_id, TokenPrompt(token_ids=prompt), params[request_id])
        for _ in range(rng.randint(0, 4)):
            if engine.core.has_unfinished_requests():
                engine.step()
    engine.run()
    for request_id, prompt in enumerate(prompts):
        assert_same(answers(engine, request_id, params[request_id].n), expected_of(model, prompt, params[request_id]))
    assert engine.scheduler.kv_cache.num_used_tokens == 0


@pytest.mark.parametrize("budget", [16, 512])
@pytest.mark.parametrize("family", ["llama", "gemma3", "mamba", "jamba", "t5", "bart"])
def test_a_preempted_search_goes_on_without_a_wrong_token(family: str, budget: int, tiny: Tiny) -> None:
    model = tiny(family)
    prompts = [prompt[:14] for prompt in random_prompts(model, 4, seed=22)]
    params = search_params(4, n=4, num_tokens=40, ignore_eos=True)
    engine = TinyEngine(model, max_num_batched_tokens=budget, cache_tokens=512)
    for request_id, prompt in enumerate(prompts):
        engine.add(request_id, TokenPrompt(token_ids=prompt), params)
    num_preempted = 0
    while engine.core.has_unfinished_requests():
        running_before = list(engine.scheduler.running)
        engine.step()
        num_preempted += sum(request in engine.scheduler.waiting for request in running_before)
    assert num_preempted
    for request_id, prompt in enumerate(prompts):
        assert answers(engine, request_id, 4) == search(model, prompt, params)


@pytest.mark.parametrize("family", ["llama", "bloom", "mamba2", "t5", "m2m_100"])
def test_searches_and_their_neighbours_do_not_disturb_each_other(family: str, tiny: Tiny) -> None:
    model = tiny(family)
    prompts = random_prompts(model, 8, seed=23)
    drawn = SamplingParams(temperature=1.2, seed=4, max_tokens=14)
    params = [search_params(3, n=2) if number % 2 else drawn for number in range(len(prompts))]
    engine = TinyEngine(model, max_num_seqs=7)
    for request_id, prompt in enumerate(prompts):
        engine.add(request_id, TokenPrompt(token_ids=prompt), params[request_id])
        engine.step()
    engine.run()
    for request_id, prompt in enumerate(prompts):
        assert answers(engine, request_id, params[request_id].n) == search(model, prompt, params[request_id])


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_an_aborted_search_leaves_nothing_behind(family: str, tiny: Tiny) -> None:
    model = tiny(family)
    prompts = random_prompts(model, 2, seed=24)
    engine = TinyEngine(model)
    for request_id, prompt in enumerate(prompts):
        engine.add(request_id, TokenPrompt(token_ids=prompt), search_params(4))
    for _ in range(5):
        engine.step()
    used_by_both = engine.scheduler.kv_cache.num_used_tokens
    engine.core.abort(0)
    assert 0 < engine.scheduler.kv_cache.num_used_tokens < used_by_both
    engine.run()
    assert engine.sequences[0, 0].token_ids == []
    assert answers(engine, 1, 1) == search(model, prompts[1], search_params(4))
    assert engine.scheduler.kv_cache.num_used_tokens == 0
