"""Draws follow the distribution that transformers' own processors make of the same logits: chi-squared tests."""

import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from hostler.engine.request import Request
from hostler.engine.sampling.sampler import Sampler
from hostler.types import SamplingParams

VOCAB_SIZE = 64
NUM_DRAWS = 4000
NUM_ROWS = 200
"""Sequences in one batch, each with a seed of its own, so that every run draws the same."""
PROMPT, OUTPUT = [3, 7, 7, 20], [1, 1, 1, 5, 20]
MIN_EXPECTED = 5.0
"""Below that many a token's count is not close to normal; such tokens are counted together."""

WARPED: list[dict[str, Any]] = [
    {},
    {"temperature": 0.3},
    {"temperature": 1.9},
    {"top_k": 1},
    {"top_k": 7},
    {"top_p": 0.35},
    {"top_p": 0.9},
    {"min_p": 0.05},
    {"min_p": 0.6},
    {"typical_p": 0.2},
    {"typical_p": 0.95},
    {"repetition_penalty": 1.7},
    {"repetition_penalty": 0.6},
    {"presence_penalty": 1.5},
    {"frequency_penalty": 0.8},
    {"presence_penalty": -1.0, "frequency_penalty": -0.3},
    {"logit_bias": {2: 3.0, 9: -100.0}},
    {"temperature": 1.4, "top_k": 30, "top_p": 0.8, "min_p": 0.02, "typical_p": 0.9},
    {"temperature": 0.8, "top_k": 20, "repetition_penalty": 1.3, "frequency_penalty": 0.4, "logit_bias": {4: 2.0}},
]


def logits_of(seed: int) -> torch.Tensor:
    """`[1, vocab_size]`: a few likely tokens, many that are not."""
    return 2.0 * torch.randn((1, VOCAB_SIZE), generator=torch.Generator().manual_seed(seed))


def expected_distribution(logits: torch.Tensor, options: dict[str, Any]) -> torch.Tensor:
    """`[vocab_size]` probabilities: OpenAI's penalties by their definition, all else by transformers."""
    scores = logits.clone()
    for token_id in set(OUTPUT):
        count = OUTPUT.count(token_id)
        scores[0, token_id] -= options.get("presence_penalty", 0.0) + count * options.get("frequency_penalty", 0.0)
    for token_id, bias in options.get("logit_bias", {}).items():
        scores[0, token_id] += bias
    makers = {
        "repetition_penalty": RepetitionPenaltyLogitsProcessor,
        "temperature": TemperatureLogitsWarper,
        "top_k": TopKLogitsWarper,
        "top_p": TopPLogitsWarper,
        "min_p": MinPLogitsWarper,
        "typical_p": TypicalLogitsWarper,
    }
    processors = LogitsProcessorList([make(options[name]) for name, make in makers.items() if name in options])
    warped = processors(torch.tensor([PROMPT + OUTPUT]), scores)
    return torch.softmax(warped[0].double(), dim=-1)


def sequence(row: int, params: SamplingParams) -> Request:
    params = msgspec.structs.replace(params, seed=row)
    return Request(row, 0, params, list(PROMPT), 10**6, frozenset([0]), output_token_ids=list(OUTPUT))


def draw(logits: torch.Tensor, params: SamplingParams, neighbours: Sequence[SamplingParams] = ()) -> torch.Tensor:
    """Counts per token, `[vocab_size]`, of `NUM_DRAWS` draws beside the neighbours, which are not counted."""
    sampler = Sampler(torch.device("cpu"))
    measured = [sequence(row, params) for row in range(NUM_ROWS)]
    others = [sequence(-1 - row, other) for row, other in enumerate(neighbours)]
    requests = [*measured, *others]
    random.Random(1).shuffle(requests)
    counts = torch.zeros(VOCAB_SIZE, dtype=torch.double)
    while counts.sum() < NUM_DRAWS:
        sampled = sampler.sample(logits.repeat(len(requests), 1), requests)
        for request in measured:
            token_id = sampled[request]
            assert isinstance(token_id, int)
            counts[token_id] += 1
    return counts


def assert_follows(counts: torch.Tensor, probabilities: torch.Tensor) -> None:
    """Pearson's test, at six standard deviations of the statistic."""
    assert not counts[probabilities == 0].any(), "a token that the processors cut off"
    means = probabilities * counts.sum()
    is_rare = means < MIN_EXPECTED
    observed = torch.cat([counts[~is_rare], counts[is_rare].sum().unsqueeze(0)])
    means = torch.cat([means[~is_rare], means[is_rare].sum().unsqueeze(0)])
    observed, means = observed[means > 0], means[means > 0]
    num_degrees = len(means) - 1
    statistic = float(((observed - means) ** 2 / means).sum())
    assert statistic <= num_degrees + 6 * (2 * num_degrees) ** 0.5


@pytest.mark.parametrize("options", WARPED, ids=lambda options: ",".join(options) or "none")
def test_draws_follow_the_distribution_of_transformers_processors(options: dict[str, Any]) -> None:
    logits = logits_of(seed=len(str(options)))
    assert_follows(draw(logits, SamplingParams(**options)), expected_distribution(logits, options))


def test_neighbours_of_every_kind_do_not_bend_a_distribution() -> None:
    logits = logits_of(seed=1)
    options: dict[str, Any] = {"temperature": 0.7, "top_p": 0.85}
    neighbours = [SamplingParams(temperature=0), *(SamplingParams(**other) for other in WARPED)]
    counts = draw(logits, SamplingParams(**options), neighbours)
    assert_follows(counts, expected_distribution(logits, options))


def test_the_test_sees_a_small_bias() -> None:
    logits = logits_of(seed=2)
    counts = draw(logits, SamplingParams(temperature=1.15))
    with pytest.raises(AssertionError):
        assert_follows(counts, expected_distribution(logits, {}))
