"""The path that computes a step in one pass."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from hostler.engine.causal.flat_attention import NAME, TILE, FlatBatch, Piece, flat_attention
from hostler.engine.causal.flat_path import FlatPath
from hostler.engine.causal.runner import CausalRunner
from hostler.engine.causal.slot_cache import SlotLayer
from hostler.types import SamplingParams, TokenPrompt
from tests.engine.harness import TinyEngine, TinyModel
from tests.engine.test_generation import random_prompts

Tiny = Callable[[str], TinyModel]


@pytest.fixture
def model(tiny: Tiny) -> TinyModel:
    return tiny("phi")


@pytest.fixture
def path(model: TinyModel) -> FlatPath:
    return FlatPath(model.model)


def engine_over(path: FlatPath, model: TinyModel, **options: Any) -> TinyEngine:
    runner = CausalRunner(model.model)
    runner._path = path
    return TinyEngine(model, runner=runner, **options)


def greedy(num_tokens: int) -> SamplingParams:
    return SamplingParams(temperature=0, max_tokens=num_tokens, ignore_eos=True)


def test_a_step_is_one_pass_whatever_is_in_it(
    model: TinyModel, path: FlatPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths: list[int] = []
    forward = model.model.forward

    def counting_forward(input_ids: Any, *args: Any, **kwargs: Any) -> Any:
        widths.append(input_ids.shape[1])
        return forward(input_ids, *args, **kwargs)

    engine = engine_over(path, model, max_num_seqs=3, max_num_batched_tokens=24)
    monkeypatch.setattr(model.model, "forward", counting_forward)
    prompts = [prompt[:1] * length for length, prompt in zip((10, 30, 9), random_prompts(model, 3), strict=True)]
    for request_id, prompt in enumerate(prompts):
        engine.add(request_id, TokenPrompt(token_ids=prompt), greedy(4))
    engine.run()
    # All of the first and part of the second; its rest beside the first's next token, with part of the third; ...
    assert widths == [24, 24, 4, 3, 2, 1]
    monkeypatch.undo()
    for request_id, prompt in enumerate(prompts):
        assert engine.sequences[request_id, 0].token_ids == model.reference(prompt, 4, eos_token_id=-1)


def test_a_short_prompt_decodes_while_a_longer_one_before_it_is_still_computed(
    model: TinyModel, path: FlatPath
) -> None:
    long, first, second = random_prompts(model, 3, seed=8)
    prompts = [(long * 100)[:90], first[:5], second[:7]]
    engine = engine_over(path, model, max_num_seqs=4, max_num_batched_tokens=16)
    for request_id, prompt in enumerate(prompts):
        engine.add(request_id, TokenPrompt(token_ids=prompt), greedy(12))
    engine.run()
    assert engine.tokens(range(3)) == [model.reference(prompt, 12, eos_token_id=-1) for prompt in prompts]


def test_the_memory_of_sequences_that_left_comes_back(model: TinyModel, path: FlatPath) -> None:
    engine = engine_over(path, model)
    for request_id, prompt in enumerate(random_prompts(model, 4)):
        engine.add(request_id, TokenPrompt(token_ids=prompt), greedy(6))
    engine.step()
    assert all(layer.keys.numel() for layer in path._cache.layers)
    engine.run()
    assert not any(layer.keys.numel() or layer.values.numel() for layer in path._cache.layers)
    assert not path._lengths


def test_a_pass_that_fails_leaves_the_model_as_it_was_and_the_next_one_is_right(
    model: TinyModel, path: FlatPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = model.model.config._attn_implementation
    prompts = random_prompts(model, 3, seed=4)
    engine = engine_over(path, model)
    with monkeypatch.context() as broken:
        broken.setattr(model.model.lm_head, "forward", lambda _hidden: 1 / 0)
        for request_id, prompt in enumerate(prompts):
            engine.add(request_id, TokenPrompt(token_ids=prompt), greedy(5))
        engine.step()
    assert set(engine.failures) == {0, 1, 2}
    assert model.model.config._attn_implementation == before != NAME
    assert engine.answer(TokenPrompt(token_ids=prompts[0]), greedy(5)).token_ids == model.reference(
        prompts[0], 5, eos_token_id=-1
    )


def batch_of(positions: list[int], pieces: list[Piece], num_decoding: int) -> FlatBatch:
    return FlatBatch(
        token_ids=torch.zeros(len(positions), dtype=torch.long),
        positions=torch.tensor(positions),
        slots=torch.zeros(len(positions), dtype=torch.long),
        num_slots=1,
        max_columns=max(positions) + 1,
        num_decoding=num_decoding,
        num_columns=max(positions[:num_decoding], default=-1) + 1,
        pieces=pieces,
    )


def test_an_argument_that_may_mean_something_is_not_ignored() -> None:
    states = torch.zeros((1, 1, 1, 4))
    batch = batch_of([0], [], 1)
    flat_attention(torch.nn.Identity(), states, states, states, flat_batch=batch, dropout=0.0, sinks=None)
    with pytest.raises(TypeError, match="sinks"):
        flat_attention(torch.nn.Identity(), states, states, states, flat_batch=batch, sinks=states)


@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize("window", [None, 3])
def test_attention_is_that_of_each_sequence_by_itself(softcap: float | None, window: int | None) -> None:
    """Against scores written out, for a sequence that decodes and for the second half of another's prompt."""
    generator = torch.Generator().manual_seed(0)
    keys, values = (torch.randn((2, 2, 9, 4), generator=generator) for _ in range(2))
    query = torch.randn((1, 4, 5, 4), generator=generator)
    batch = batch_of([6, 3, 4, 5, 6], [Piece(slot=1, start=3, stop=7)], 1)
    result, _ = flat_attention(
        torch.nn.Identity(), query, keys, values, flat_batch=batch, sliding_window=window, softcap=softcap
    )
    for token, (slot, position) in enumerate([(0, 6), (1, 3), (1, 4), (1, 5), (1, 6)]):
        first = 0 if window is None else max(0, position - window + 1)
        for head in range(4):
            seen = slice(first, position + 1)
            scores = keys[slot, head // 2, seen] @ query[0, head, token] / 2
            if softcap is not None:
                scores = softcap * torch.tanh(scores / softcap)
            expected = torch.softmax(scores, dim=0) @ values[slot, head // 2, seen]
            torch.testing.assert_close(result[0, token, head], expected)


@pytest.mark.parametrize("start", [0, 30])
def test_long_prompts_are_computed_in_few_shapes_and_rightly(start: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch keeps for good what it has compiled for a shape of 16-bit numbers."""
    shapes: set[tuple[int, int]] = set()
    attend = torch.nn.functional.scaled_dot_product_attention

    def noting_attend(query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, **options: Any) -> torch.Tensor:
        shapes.add((query.shape[2], keys.shape[2]))
        return attend(query, keys, values, **options)

    monkeypatch.setattr("hostler.engine.causal.flat_attention.scaled_dot_product_attention", noting_attend)
    generator = torch.Generator().manual_seed(0)
    layer = SlotLayer()
    for count in range(TILE, 3 * TILE + 1, 5):
        stop = start + count
        states = torch.randn((3, 1, 2, stop, 4), generator=generator).bfloat16()
        query, (keys, values) = states[0, ..., start:, :], states[1:]
        layer.lazy_initialization(keys, values)
        layer.reserve(1, stop)
        layer.keys[:, :, :stop], layer.values[:, :, :stop] = keys, values
        batch = batch_of(list(range(start, stop)), [Piece(slot=0, start=start, stop=stop)], 0)
        result, _ = flat_attention(torch.nn.Identity(), query, layer.keys, layer.values, flat_batch=batch)
        is_seen = torch.ones((count, stop), dtype=torch.bool).tril(start)
        expected = attend(query.float(), keys.float(), values.float(), attn_mask=is_seen)
        torch.testing.assert_close(result.float(), expected.transpose(1, 2), atol=0.03, rtol=0.03)
    assert shapes <= {(queries * TILE, columns * TILE) for queries in range(1, 4) for columns in range(1, 5)}
    assert len(shapes) <= 6
