"""What `generate` finds with beams, and how an engine's answers are held against it."""

from typing import Any

import torch

from hostler.types import BeamParams, SamplingParams, TokenPrompt
from tests.engine.harness import TinyEngine, TinyModel

MARGIN = 1e-4
"""Sequences whose scores are closer than this may come in either order, or one in the place of the other."""


def best_of_generate(
    tiny: TinyModel, prompt: list[int], num_tokens: int, **options: Any
) -> list[tuple[list[int], float]]:
    """New tokens and score of every beam's answer, best first."""
    ids = torch.tensor([prompt])
    output = tiny.model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=num_tokens,
        do_sample=False,
        num_return_sequences=options["num_beams"],
        return_dict_in_generate=True,
        output_scores=True,
        **options,
    )
    start = 1 if tiny.is_encoder_decoder else len(prompt)
    end_ids = options.get("eos_token_id", [tiny.model.generation_config.eos_token_id])
    rows = [cut_after_the_first_of(end_ids, row[start:]) for row in output.sequences.tolist()]
    return list(zip(rows, output.sequences_scores.tolist(), strict=True))


def cut_after_the_first_of(end_ids: list[int], token_ids: list[int]) -> list[int]:
    ends = [place for place, token_id in enumerate(token_ids) if token_id in end_ids]
    return token_ids[: ends[0] + 1] if ends else token_ids


def assert_same(given: list[list[int]], expected: list[tuple[list[int], float]]) -> None:
    for place, tokens in enumerate(given):
        best, score = expected[place]
        is_tied = any(abs(other - score) < MARGIN for i, (_, other) in enumerate(expected) if i != place)
        assert tokens == best or is_tied


def search_params(num_beams: int, n: int = 1, num_tokens: int = 16, **more: Any) -> SamplingParams:
    return SamplingParams(n=n, max_tokens=num_tokens, beams=BeamParams(num_beams=num_beams), **more)


def answers(engine: TinyEngine, request_id: int, n: int) -> list[list[int]]:
    return [engine.sequences[request_id, index].token_ids for index in range(n)]


def search(tiny: TinyModel, prompt: list[int], params: SamplingParams) -> list[list[int]]:
    """One request alone."""
    engine = TinyEngine(tiny)
    engine.add(0, TokenPrompt(token_ids=prompt), params)
    engine.run()
    return answers(engine, 0, params.n)
