"""How the generic path divides a step into forward passes."""

from collections.abc import Callable
from typing import Any

import pytest

from hostler.engine.causal.generic_path import MAX_PADDING, alike
from hostler.engine.request import Request
from hostler.types import SamplingParams, TokenPrompt
from tests.engine.harness import TinyEngine, TinyModel, few_at_once
from tests.engine.test_generation import random_prompts

GREEDY = SamplingParams(temperature=0, max_tokens=12, ignore_eos=True)
ROW_FAMILIES = ("bloom", "codegen", "falcon_alibi", "falcon_rotary", "gpt_neo", "gptj", "mpt", "stablelm", "xglm")
"""Those that take this path: see `hostler.engine.causal.architectures.TESTED_IN_ROWS`."""


def make_request(num_tokens: int) -> Request:
    return Request(
        request_id=num_tokens,
        index=0,
        params=SamplingParams(),
        prompt_token_ids=[1] * num_tokens,
        max_tokens=8,
        stop_token_ids=frozenset(),
    )


@pytest.mark.parametrize(
    ("lengths", "groups"),
    [
        ([], []),
        ([7], [[7]]),
        ([10, 10, 10], [[10, 10, 10]]),
        ([300, 10, 290, 12], [[10, 12], [290, 300]]),
    ],
)
def test_prompts_of_like_length_are_put_together(lengths: list[int], groups: list[list[int]]) -> None:
    found = list(alike([make_request(length) for length in lengths]))
    assert [[request.num_tokens for request in group] for group in found] == groups
    for group in found:
        padded = len(group) * max(request.num_tokens for request in group)
        assert padded <= MAX_PADDING * sum(request.num_tokens for request in group)


def test_prompts_of_one_step_share_a_pass_and_so_do_their_next_tokens(
    tiny: Callable[[str], TinyModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny("stablelm")
    shapes: list[tuple[int, ...]] = []
    forward = model.model.forward

    def counting_forward(input_ids: Any, *args: Any, **kwargs: Any) -> Any:
        shapes.append(tuple(input_ids.shape))
        return forward(input_ids, *args, **kwargs)

    runner = model.runner()
    monkeypatch.setattr(model.model, "forward", counting_forward)
    engine = TinyEngine(model, runner=runner)
    prompts = [prompt[:1] * length for length, prompt in zip((20, 22, 24, 26), random_prompts(model, 4), strict=True)]
    for request_id, prompt in enumerate(prompts):
        engine.add(
            request_id, TokenPrompt(token_ids=prompt), SamplingParams(temperature=0, max_tokens=4, ignore_eos=True)
        )
    engine.run()
    assert shapes == [(4, 26), (4, 1), (4, 1), (4, 1)]
    monkeypatch.undo()
    for request_id, prompt in enumerate(prompts):
        expected = model.reference(prompt, 4, eos_token_id=-1)
        assert engine.sequences[request_id, 0].token_ids == expected


@pytest.mark.parametrize("family", few_at_once(ROW_FAMILIES))
def test_prompts_that_go_on_where_another_is_share_a_pass_too(
    family: str, tiny: Callable[[str], TinyModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny(family)
    runner = model.runner()
    shapes: list[tuple[int, ...]] = []
    forward = model.model.forward

    def counting_forward(input_ids: Any, *args: Any, **kwargs: Any) -> Any:
        shapes.append(tuple(input_ids.shape))
        return forward(input_ids, *args, **kwargs)

    tokens = [token for prompt in random_prompts(model, 9, seed=3) for token in prompt]
    # What they share is 64, 64 and 48 tokens long: the last one lacks most.
    prompts = [tokens[:70], tokens[:67] + tokens[80:85], tokens[:75], tokens[:60] + tokens[90:96]]
    engine = TinyEngine(model, runner=runner)
    engine.add(0, TokenPrompt(token_ids=prompts[0]), GREEDY)
    engine.step()
    with monkeypatch.context() as patch:
        patch.setattr(model.model, "forward", counting_forward)
        for request_id in (1, 2, 3):
            engine.add(request_id, TokenPrompt(token_ids=prompts[request_id]), GREEDY)
        engine.step()
    engine.run()
    assert [engine.sequences[request_id, 0].num_cached_tokens for request_id in range(4)] == [0, 64, 64, 48]
    assert shapes == [(1, 1), (3, 18)]
    for request_id, prompt in enumerate(prompts):
        assert engine.sequences[request_id, 0].token_ids == model.reference(prompt, 12, eos_token_id=-1)
