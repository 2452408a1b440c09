"""What a request asks of the sampler is what it gets, alone and in company."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import set_seed

from hostler.engine.request import Request
from hostler.engine.runner import NumericalFailure
from hostler.engine.sampling.sampler import Sampler
from hostler.types import SamplingParams, TokenPrompt
from tests.engine.harness import TinyEngine, TinyModel
from tests.engine.test_generation import random_prompts

CPU = torch.device("cpu")
Tiny = Callable[[str], TinyModel]


def request(params: SamplingParams, output: list[int] | None = None, index: int = 0) -> Request:
    return Request(
        request_id=1,
        index=index,
        params=params,
        prompt_token_ids=[0, 1],
        max_tokens=10_000,
        stop_token_ids=frozenset([3]),
        output_token_ids=output or [],
    )


def draws(logits: list[float], params: SamplingParams, count: int = 4000) -> Counter[int]:
    """How often each token is drawn from the same logits."""
    sampler, sequence = Sampler(CPU), request(params)
    row = torch.tensor([logits])
    counted: Counter[int] = Counter()
    for _ in range(count):
        token = sampler.sample(row, [sequence])[sequence]
        assert isinstance(token, int)
        counted[token] += 1
    return counted


def chosen(logits: list[float], params: SamplingParams, output: list[int] | None = None) -> int:
    """The token that a greedy request takes."""
    sequence = request(params, output)
    token = Sampler(CPU).sample(torch.tensor([logits]), [sequence])[sequence]
    assert isinstance(token, int)
    return token


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
def test_draws_follow_the_softmax_at_the_temperature(temperature: float) -> None:
    logits = [2.0, 1.0, 0.0, -1.0]
    counted = draws(logits, SamplingParams(temperature=temperature, seed=3))
    expected = torch.softmax(torch.tensor(logits) / temperature, dim=-1) * 4000
    # Chi-squared with three degrees of freedom: 16.3 is passed once in a thousand, and the seed is fixed.
    statistic = sum((counted[token] - float(mean)) ** 2 / float(mean) for token, mean in enumerate(expected))
    assert statistic < 16.3


@pytest.mark.parametrize(
    ("params", "allowed"),
    [
        (SamplingParams(top_k=2, seed=1), {0, 1}),
        (SamplingParams(top_k=1, seed=1), {0}),
        (SamplingParams(top_p=0.6, seed=1), {0}),
        (SamplingParams(top_p=0.8, seed=1), {0, 1}),
        (SamplingParams(top_p=0.0, seed=1), {0}),
        (SamplingParams(min_p=0.3, seed=1), {0, 1}),
        (SamplingParams(typical_p=0.2, seed=1), {1}),
        (SamplingParams(typical_p=0.8, seed=1), {0, 1}),
    ],
)
def test_a_truncated_distribution_gives_all_of_its_tokens_and_no_other(
    params: SamplingParams, allowed: set[int]
) -> None:
    assert set(draws([2.0, 1.0, 0.0, -1.0], params)) == allowed


def test_penalties_and_bias_change_the_choice_as_documented() -> None:
    logits = [1.0, 2.0, 3.0, 0.0]
    assert chosen(logits, SamplingParams(temperature=0)) == 2
    assert chosen(logits, SamplingParams(temperature=0, presence_penalty=1.5), output=[2]) == 1
    assert chosen(logits, SamplingParams(temperature=0, presence_penalty=1.5)) == 2
    assert chosen(logits, SamplingParams(temperature=0, frequency_penalty=0.9), output=[2]) == 2
    assert chosen(logits, SamplingParams(temperature=0, frequency_penalty=0.9), output=[2, 2]) == 1
    assert chosen(logits, SamplingParams(temperature=0, logit_bias={2: -100.0})) == 1
    assert chosen(logits, SamplingParams(temperature=0, logit_bias={0: 100.0, 99_999: 5.0})) == 0
    assert chosen([1.0, 3.0, 2.0, 0.0], SamplingParams(temperature=0, repetition_penalty=2.0)) == 2


def test_no_stop_token_comes_before_min_tokens() -> None:
    logits = [0.0, 1.0, 2.0, 9.0]
    assert chosen(logits, SamplingParams(temperature=0, min_tokens=2), output=[1]) == 2
    assert chosen(logits, SamplingParams(temperature=0, min_tokens=2), output=[1, 1]) == 3


def test_logits_that_are_no_numbers_fail_their_own_sequence_only() -> None:
    well, ill = request(SamplingParams(temperature=0)), request(SamplingParams(temperature=0))
    sampled = Sampler(CPU).sample(torch.tensor([[0.0, 1.0], [0.0, float("nan")]]), [well, ill])
    assert sampled[well] == 1
    assert isinstance(sampled[ill], NumericalFailure)


def test_a_sequence_that_may_say_nothing_fails_alone() -> None:
    silent = request(SamplingParams(seed=1, logit_bias=dict.fromkeys(range(4), -float("inf"))))
    free, typical = request(SamplingParams(seed=1)), request(SamplingParams(seed=1, typical_p=0.2))
    sampled = Sampler(CPU).sample(torch.tensor([[2.0, 1.0, 0.0, -1.0]]).repeat(3, 1), [free, silent, typical])
    assert isinstance(sampled[silent], NumericalFailure)
    assert isinstance(sampled[free], int)
    assert sampled[typical] == 1


def test_every_kind_of_sequence_chooses_the_same_alone_and_in_a_batch() -> None:
    kinds = [
        SamplingParams(temperature=0),
        SamplingParams(temperature=0, repetition_penalty=1.5),
        SamplingParams(temperature=0.7, top_p=0.9, seed=1),
        SamplingParams(temperature=1.2, seed=2, frequency_penalty=0.5),
        SamplingParams(typical_p=0.6, seed=3),
        SamplingParams(temperature=1.1, top_k=20, seed=4, repetition_penalty=1.2),
        SamplingParams(min_p=0.05, seed=5, logit_bias={7: 3.0}),
    ]
    logits = torch.randn((3, len(kinds), 2000), generator=torch.Generator().manual_seed(6)) * 2
    company, together = Sampler(CPU), [request(params) for params in kinds]
    batched = [company.sample(step, together) for step in logits]
    for row, params in enumerate(kinds):
        sampler, alone = Sampler(CPU), request(params)
        for step, tokens in zip(logits, batched, strict=True):
            assert sampler.sample(step[row : row + 1], [alone])[alone] == tokens[together[row]]


def test_sequences_of_one_seed_draw_their_own_numbers() -> None:
    row = torch.zeros((1, 1000))
    sampler = Sampler(CPU)
    params = SamplingParams(seed=5)
    first, second, again = request(params), request(params, index=1), request(params)
    drawn = [[sampler.sample(row, [sequence])[sequence] for _ in range(5)] for sequence in (first, second, again)]
    assert drawn[0] == drawn[2]
    assert drawn[0] != drawn[1]


@pytest.mark.parametrize(
    "options",
    [
        {"repetition_penalty": 1.8},
        {"repetition_penalty": 0.7},
    ],
)
def test_processors_with_a_counterpart_give_what_generate_gives(options: dict[str, Any], tiny: Tiny) -> None:
    model = tiny("llama")
    for prompt in random_prompts(model, 3, seed=8):
        params = SamplingParams(temperature=0, max_tokens=20, **options)
        answer = TinyEngine(model).answer(TokenPrompt(token_ids=prompt), params)
        assert answer.token_ids == model.reference(prompt, 20, **options)


def test_the_distribution_of_a_first_token_is_that_of_generate(tiny: Tiny) -> None:
    model = tiny("gpt2")
    prompt = random_prompts(model, 1, seed=9)[0]
    options: dict[str, Any] = {"temperature": 1.4, "top_k": 6, "top_p": 0.9}
    engine = TinyEngine(model)
    engine.add(0, TokenPrompt(token_ids=prompt), SamplingParams(n=300, max_tokens=1, seed=2, **options))
    engine.run()
    ours = {engine.sequences[0, index].token_ids[0] for index in range(300)}
    set_seed(0)
    theirs = {model.reference(prompt, 1, do_sample=True, **options)[0] for _ in range(300)}
    assert ours == theirs


def test_a_seeded_request_is_the_same_alone_and_beside_others(tiny: Tiny) -> None:
    model = tiny("llama")
    prompts = random_prompts(model, 9, seed=10)
    params = SamplingParams(temperature=1.2, top_k=40, top_p=0.95, seed=42, max_tokens=25, ignore_eos=True)
    alone = TinyEngine(model).answer(TokenPrompt(token_ids=prompts[0]), params)
    company = TinyEngine(model, max_num_batched_tokens=40)
    for request_id, prompt in enumerate(prompts[1:], start=1):
        neighbour = SamplingParams(temperature=0.3 * request_id, seed=request_id, max_tokens=5 * request_id)
        company.add(request_id, TokenPrompt(token_ids=prompt), neighbour)
        company.step()
    company.add(0, TokenPrompt(token_ids=prompts[0]), params)
    company.run()
    assert company.sequences[0, 0].token_ids == alone.token_ids
