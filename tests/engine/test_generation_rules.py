"""What a model's `generation_config.json` asks of every answer, held against `generate`."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import GenerationConfig

from hostler.engine.request import Request
from hostler.engine.sampling.generation_rules import GenerationRules
from hostler.types import FinishReason, SamplingParams, TokenPrompt
from tests.engine.harness import TinyEngine, TinyModel
from tests.engine.test_generation import random_prompts

Tiny = Callable[[str], TinyModel]
CPU = torch.device("cpu")


def with_config(tiny: TinyModel, **options: Any) -> TinyModel:
    """The same model, with more in its generation config."""
    changed = copy.copy(tiny)
    changed.model = copy.deepcopy(tiny.model)
    changed.model.generation_config.update(**options)
    return changed


@pytest.mark.parametrize(
    "options",
    [
        {"no_repeat_ngram_size": 2},
        {"encoder_no_repeat_ngram_size": 2},
        {"bad_words_ids": [[7], [9, 10], [11]]},
        {"suppress_tokens": list(range(20, 120))},
        {"begin_suppress_tokens": list(range(20, 220))},
        {"begin_suppress_tokens": list(range(20, 220)), "forced_bos_token_id": 30},
        {"min_length": 12},
        {"min_new_tokens": 12},
        {"forced_bos_token_id": 17, "forced_eos_token_id": 1},
        {"forced_bos_token_id": 17, "no_repeat_ngram_size": 1, "suppress_tokens": [40, 41], "min_length": 5},
    ],
    ids=lambda options: "+".join(options),
)
@pytest.mark.parametrize("family", ["marian", "llama"])
def test_a_models_rules_hold_as_in_generate(family: str, options: dict[str, Any], tiny: Tiny) -> None:
    # Causal models have no encoder's input to look at, which `generate` takes for a mistake of the caller.
    if family == "llama":
        options = {name: value for name, value in options.items() if not name.startswith("encoder_")}
    model = with_config(tiny(family), **options)
    for prompt in random_prompts(model, 3, seed=12):
        params = SamplingParams(temperature=0, max_tokens=16)
        assert TinyEngine(model).answer(TokenPrompt(token_ids=prompt), params).token_ids == model.reference(prompt, 16)


def test_a_request_that_ignores_the_end_is_not_made_to_end(tiny: Tiny) -> None:
    model = with_config(tiny("bart"), forced_eos_token_id=2, min_length=100)
    prompt = random_prompts(model, 1, seed=13)[0]
    params = SamplingParams(temperature=0, max_tokens=9, ignore_eos=True)
    answer = TinyEngine(model).answer(TokenPrompt(token_ids=prompt), params)
    assert answer.finish_reason is FinishReason.LENGTH
    assert len(answer.token_ids) == 9


def test_a_forced_end_is_a_cut_answer_and_a_chosen_one_is_not(tiny: Tiny) -> None:
    model = with_config(tiny("marian"), forced_eos_token_id=1)
    prompt = TokenPrompt(token_ids=random_prompts(model, 1, seed=15)[0])
    cut = TinyEngine(model).answer(prompt, SamplingParams(temperature=0, max_tokens=5))
    assert (cut.finish_reason, len(cut.token_ids), cut.token_ids[-1]) == (FinishReason.LENGTH, 5, 1)
    ended = TinyEngine(model).answer(prompt, SamplingParams(temperature=0, max_tokens=5, logit_bias={1: 100.0}))
    assert (ended.finish_reason, ended.token_ids) == (FinishReason.STOP, [1])


def test_sampled_answers_keep_the_rules_too(tiny: Tiny) -> None:
    model = with_config(tiny("llama"), suppress_tokens=list(range(200)), forced_bos_token_id=None)
    prompt = random_prompts(model, 1, seed=14)[0]
    params = SamplingParams(temperature=1.9, seed=3, max_tokens=60, ignore_eos=True)
    assert min(TinyEngine(model).answer(TokenPrompt(token_ids=prompt), params).token_ids) >= 200


def test_a_config_that_asks_nothing_costs_nothing() -> None:
    request = Request(
        request_id=0,
        index=0,
        params=SamplingParams(),
        prompt_token_ids=[1],
        max_tokens=4,
        stop_token_ids=frozenset(),
    )
    assert GenerationRules(GenerationConfig(eos_token_id=2), CPU).processors(request) == []
