"""Beam search: token for token what `model.generate()` gives, its best sequences in the same order."""

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch

from hostler.types import BeamParams, EarlyStopping, SamplingParams, TokenPrompt
from tests.engine.harness import TinyEngine, TinyModel
from tests.engine.test_generation import random_prompts

Tiny = Callable[[str], TinyModel]

MARGIN = 1e-4
"""Sequences whose scores are closer than this may come in either order, or one in the place of the other."""


def best_of_generate(
    tiny: TinyModel, prompt: list[int], num_tokens: int, **options: Any
) -> list[tuple[list[int], float]]:
    """New tokens and score of every beam's answer, best first."""
    ids = torch.tensor([prompt])
    num_beams = options["num_beams"]
    output = tiny.model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=num_tokens,
        do_sample=False,
        num_return_sequences=num_beams,
        return_dict_in_generate=True,
        output_scores=True,
        **options,
    )
    start = 1 if tiny.is_encoder_decoder else len(prompt)
    end_id = tiny.model.generation_config.eos_token_id
    rows = [row[start:] for row in output.sequences.tolist()]
    rows = [row[: row.index(end_id) + 1] if end_id in row else row for row in rows]
    return list(zip(rows, output.sequences_scores.tolist(), strict=True))


def assert_equal_to_generate(given: list[list[int]], expected: list[tuple[list[int], float]]) -> None:
    for place, tokens in enumerate(given):
        if tokens != expected[place][0]:
            score = expected[place][1]
            rivals = [other for i, (_, other) in enumerate(expected) if i != place and abs(other - score) < MARGIN]
            assert rivals, f"place {place}: {tokens} instead of {expected[place]}"


def beam_params(num_beams: int, n: int = 1, num_tokens: int = 20, **beams: Any) -> SamplingParams:
    return SamplingParams(n=n, max_tokens=num_tokens, beams=BeamParams(num_beams=num_beams, **beams))


def answers(engine: TinyEngine, request_id: int, n: int) -> list[list[int]]:
    return [engine.sequences[request_id, index].token_ids for index in range(n)]


@pytest.mark.parametrize("early_stopping", [True, False, "never"])
@pytest.mark.parametrize("family", ["gpt2", "llama", "bloom", "gemma3", "mamba", "jamba", "t5", "bart", "marian"])
def test_a_search_equals_generate(family: str, early_stopping: EarlyStopping, tiny: Tiny) -> None:
    model = tiny(family)
    rng = random.Random(3)
    for prompt in random_prompts(model, 6, seed=21):
        num_beams, length_penalty = rng.randint(2, 6), rng.choice([0.6, 1.0, 2.0])
        n = rng.randint(1, num_beams)
        engine = TinyEngine(model)
        params = beam_params(num_beams, n, length_penalty=length_penalty, early_stopping=early_stopping)
        engine.add(0, TokenPrompt(token_ids=prompt), params)
        engine.run()
        expected = best_of_generate(
            model, prompt, 20, num_beams=num_beams, length_penalty=length_penalty, early_stopping=early_stopping
        )
        assert_equal_to_generate(answers(engine, 0, n), expected)
