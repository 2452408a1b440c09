"""The decoder that is written out here computes what the model's own forward does."""

from collections.abc import Callable

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from hostler.engine.causal.flat_attention import FlatBatch, Piece
from hostler.engine.causal.flat_forward import FlatForward
from hostler.engine.causal.flat_path import Forward
from hostler.engine.causal.fused_forward import FUSED_CLASSES, FusedForward, can_fuse
from hostler.engine.packed_linear import PackedLinear, can_pack, pack_linears
from tests.engine.harness import TinyModel

Tiny = Callable[[str], TinyModel]
FUSED_FAMILIES = ("llama", "mistral", "qwen2", "qwen2_windowed", "qwen3")


def two_passes(forward: Forward) -> torch.Tensor:
    """Logits of all tokens of a second pass: one that decodes, and the rest of another's prompt."""
    first = batch_of([(0, position) for position in range(40)] + [(1, 0), (1, 1)], [Piece(0, 0, 40), Piece(1, 0, 2)])
    forward.logits(first, [])
    second = batch_of([(0, 40), *((1, position) for position in range(2, 30))], [Piece(1, 2, 30)], num_decoding=1)
    return forward.logits(second, list(range(29)))


def batch_of(tokens: list[tuple[int, int]], pieces: list[Piece], num_decoding: int = 0) -> FlatBatch:
    slots, positions = (torch.tensor(column) for column in zip(*tokens, strict=True))
    return FlatBatch(
        token_ids=(slots * 7 + positions * 13) % 400 + 5,
        positions=positions,
        slots=slots,
        num_slots=2,
        max_columns=int(positions.max()) + 1,
        num_decoding=num_decoding,
        num_columns=max((position for _, position in tokens[:num_decoding]), default=-1) + 1,
        pieces=pieces,
    )


@pytest.mark.parametrize("family", FUSED_FAMILIES)
@torch.inference_mode()
def test_in_float32_the_logits_are_the_same(family: str, tiny: Tiny) -> None:
    model = tiny(family).model
    assert can_fuse(model)
    torch.testing.assert_close(two_passes(FusedForward(model)), two_passes(FlatForward(model)), atol=2e-4, rtol=1e-4)


@pytest.mark.skipif(not can_pack(), reason="this processor has no bfloat16 products of oneDNN")
@pytest.mark.parametrize("family", FUSED_FAMILIES)
@torch.inference_mode()
def test_in_bfloat16_with_packed_weights_they_are_no_further_from_the_exact_ones(family: str, tiny: Tiny) -> None:
    source = tiny(family)
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(source.model.name_or_path, dtype=torch.bfloat16)
    exact = two_passes(FlatForward(source.model))
    plain = two_passes(FlatForward(model.eval()))
    pack_linears(model)
    assert any(isinstance(module, PackedLinear) for module in model.modules())
    fused = two_passes(FusedForward(model))
    assert (fused - exact).square().mean() < 1.5 * (plain - exact).square().mean()


def test_no_class_is_fused_that_is_not_tested(tiny: Tiny) -> None:
    assert {type(tiny(family).model).__name__ for family in FUSED_FAMILIES} == FUSED_CLASSES


def test_code_that_came_with_a_model_is_not_taken_for_a_known_class(tiny: Tiny) -> None:
    foreign = type("LlamaForCausalLM", (type(tiny("llama").model),), {"__module__": "transformers_modules.owner"})
    model = foreign(tiny("llama").model.config)
    assert not can_fuse(model)


def test_another_activation_is_not_computed_as_this_one(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("llama").model
    monkeypatch.setattr(model.config, "hidden_act", "gelu")
    assert not can_fuse(model)
