"""Layers with reordered weights compute what they did before."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedModel

from hostler.engine import packed_linear
from hostler.engine.packed_linear import TESTED_PACKED, PackedLinear, can_pack, pack_linears
from tests.engine.harness import TinyModel
from tests.tiny_models import CAUSAL_FAMILIES, SEQ2SEQ_FAMILIES

pytestmark = pytest.mark.skipif(not can_pack(), reason="this processor has no bfloat16 products of oneDNN")


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 96), (3, 96), (2, 5, 96), (1, 1, 96), (0, 96), (600, 96)])
@torch.no_grad()
def test_a_packed_layer_computes_what_it_did(shape: tuple[int, ...], has_bias: bool) -> None:
    linear = nn.Linear(96, 40, bias=has_bias, dtype=torch.bfloat16)
    hidden = torch.randn(shape, dtype=torch.bfloat16)
    torch.testing.assert_close(PackedLinear(linear)(hidden), linear(hidden))


@torch.no_grad()
def test_it_takes_what_is_not_contiguous() -> None:
    linear = nn.Linear(96, 40, dtype=torch.bfloat16)
    hidden = torch.randn((2, 5, 192), dtype=torch.bfloat16)[..., ::2].transpose(0, 1)
    torch.testing.assert_close(PackedLinear(linear)(hidden), linear(hidden), atol=2e-3, rtol=0.02)


Tiny = Callable[[str], TinyModel]


def in_bfloat16(source: TinyModel) -> PreTrainedModel:
    auto = AutoModelForSeq2SeqLM if source.is_encoder_decoder else AutoModelForCausalLM
    model: PreTrainedModel = auto.from_pretrained(source.model.name_or_path, dtype=torch.bfloat16).eval()
    return model


PACKED_FAMILIES = ("llama", "opt", "gpt_neox", "bloom", "codegen", "gemma", "t5", *CAUSAL_FAMILIES, *SEQ2SEQ_FAMILIES)


@pytest.mark.parametrize("family", PACKED_FAMILIES)
@torch.no_grad()
def test_packing_does_not_change_what_a_model_computes(family: str, tiny: Tiny) -> None:
    source = tiny(family)
    model = in_bfloat16(source)
    ids = torch.arange(5, 29).unsqueeze(0)
    arguments = {"decoder_input_ids": ids} if source.is_encoder_decoder else {}
    before = model(input_ids=ids, **arguments).logits
    if model.config.model_type not in TESTED_PACKED:
        assert pack_linears(model) == 0
        return
    assert pack_linears(model) > 0
    after = model(input_ids=ids, **arguments).logits
    assert (after - before).float().square().mean().sqrt() < 0.02 * before.float().std()
    # Continued from the cache, too, nothing reads the stand-ins for the weights.
    scores = model.generate(input_ids=ids, max_new_tokens=8, output_scores=True, return_dict_in_generate=True).scores
    assert not torch.stack(scores).isnan().any()


def test_no_type_is_packed_that_is_not_tested(tiny: Tiny) -> None:
    assert {tiny(family).model.config.model_type for family in PACKED_FAMILIES} >= TESTED_PACKED


@pytest.mark.parametrize("family", ["mamba", "falcon_alibi"])
def test_models_that_compute_with_their_weights_themselves_are_left_alone(family: str, tiny: Tiny) -> None:
    assert pack_linears(in_bfloat16(tiny(family))) == 0


def test_a_weight_that_is_the_embedding_too_stays_and_is_held_once(tiny: Tiny) -> None:
    model = in_bfloat16(tiny("opt"))
    pack_linears(model)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_float32_is_not_packed(tiny: Tiny) -> None:
    model = in_bfloat16(tiny("llama")).float()
    assert pack_linears(model) == 0


def test_a_forward_that_computes_with_the_weight_itself_is_seen() -> None:
    packed = PackedLinear(nn.Linear(8, 8, dtype=torch.bfloat16))
    assert packed.weight.dtype is torch.bfloat16
    assert packed.weight.shape == (8, 8)
    assert torch.nn.functional.linear(torch.ones((1, 8), dtype=torch.bfloat16), packed.weight).isnan().all()


def test_a_processor_without_these_products_packs_nothing(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_linear, "can_pack", lambda: False)
    assert pack_linears(in_bfloat16(tiny("llama"))) == 0
