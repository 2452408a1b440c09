"""Layers with reordered weights compute what they did before."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedModel

from hostler.engine import packed_linear
from hostler.engine.packed_linear import (
    JOINT_NAMES,
    TESTED_JOINT,
    TESTED_PACKED,
    JointLinear,
    JointPart,
    PackedLinear,
    can_pack,
    own_memory,
    pack_linears,
)
from tests.engine.harness import TinyModel, few_at_once
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


@pytest.mark.parametrize("family", few_at_once(PACKED_FAMILIES))
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


def linears_of(tiny: Tiny, family: str) -> list[nn.Linear]:
    """Queries, keys and values of a model's first layer."""
    attention = in_bfloat16(tiny(family)).model.layers[0].self_attn
    return [getattr(attention, name) for name in JOINT_NAMES]


def parts_of(linears: list[nn.Linear]) -> tuple[JointLinear, list[JointPart]]:
    joint = JointLinear(linears)
    return joint, [JointPart(linear, joint, index) for index, linear in enumerate(linears)]


JOINT_FAMILIES = sorted(TESTED_JOINT)


@pytest.mark.parametrize("family", JOINT_FAMILIES)
@pytest.mark.parametrize("num_tokens", [1, 7])
@torch.no_grad()
def test_the_parts_of_a_joint_product_are_what_the_layers_computed(family: str, num_tokens: int, tiny: Tiny) -> None:
    linears = linears_of(tiny, family)
    assert (linears[0].bias is not None) == (family == "qwen2")
    if linears[0].bias is not None:
        for linear in linears:
            nn.init.normal_(linear.bias)
    hidden = torch.randn((2, num_tokens, linears[0].in_features), dtype=torch.bfloat16)
    joint, parts = parts_of(linears)
    for part, linear in zip(parts, linears, strict=True):
        torch.testing.assert_close(part(hidden), linear(hidden))
        assert (part.in_features, part.out_features) == (linear.in_features, linear.out_features)
    whole = torch.cat([linear(hidden) for linear in linears], dim=-1)
    torch.testing.assert_close(joint(hidden), whole)


@torch.no_grad()
def test_a_joint_product_is_computed_once_and_nothing_of_it_is_kept(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    linears = linears_of(tiny, "llama")
    joint, parts = parts_of(linears)
    num_products = 0
    compute = joint.forward

    def counted(hidden: torch.Tensor) -> torch.Tensor:
        nonlocal num_products
        num_products += 1
        return compute(hidden)

    monkeypatch.setattr(joint, "forward", counted)
    hidden = torch.randn((1, linears[0].in_features), dtype=torch.bfloat16)
    for part in parts:
        part(hidden)
    assert num_products == 1
    assert joint._input is None
    assert not joint._parts


@torch.no_grad()
def test_parts_of_other_inputs_are_never_mixed_up(tiny: Tiny) -> None:
    linears = linears_of(tiny, "qwen2")
    _, (query, key, value) = parts_of(linears)
    first, second = torch.randn((2, 3, linears[0].in_features), dtype=torch.bfloat16).unbind()
    torch.testing.assert_close(query(first), linears[0](first))
    # The first input's keys and values are never asked for; then a part twice of one input, which is computed anew.
    torch.testing.assert_close(query(second), linears[0](second))
    torch.testing.assert_close(query(second), linears[0](second))
    torch.testing.assert_close(key(first), linears[1](first))
    torch.testing.assert_close(value(second), linears[2](second))
    torch.testing.assert_close(value(first), linears[2](first))


@pytest.mark.parametrize("family", JOINT_FAMILIES)
@torch.no_grad()
def test_beams_through_a_joint_product_score_as_they_did(family: str, tiny: Tiny) -> None:
    plain, packed = in_bfloat16(tiny(family)), in_bfloat16(tiny(family))
    pack_linears(packed)
    assert isinstance(packed.model.layers[0].self_attn.q_proj, JointPart)
    ids = torch.arange(5, 29).unsqueeze(0)
    answers = packed.generate(input_ids=ids, num_beams=3, num_return_sequences=3, max_new_tokens=8, do_sample=False)

    # Roundings differ, so a near tie may go the other way; what was chosen is as likely as it says, step by step.
    torch.testing.assert_close(score_of(packed, answers, 24), score_of(plain, answers, 24), atol=0.25, rtol=0.02)
    best = plain.generate(input_ids=ids, num_beams=3, max_new_tokens=8, do_sample=False)
    assert score_of(plain, answers, 24).max() >= score_of(plain, best, 24) - 0.25
    assert not packed.model.layers[0].self_attn.q_proj.joint._parts


def score_of(model: PreTrainedModel, answers: torch.Tensor, num_prompt_tokens: int) -> torch.Tensor:
    """Summed log-probability of what follows the prompt, for each answer."""
    logprobs = model(input_ids=answers).logits[:, :-1].float().log_softmax(-1)
    chosen: torch.Tensor = logprobs.gather(2, answers[:, 1:, None]).squeeze(2)[:, num_prompt_tokens - 1 :].sum(1)
    return chosen


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell what is mapped")
@pytest.mark.parametrize("family", ["llama", "opt"])
@torch.no_grad()
def test_a_packed_model_lets_go_of_the_file_it_was_mapped_from(family: str, tiny: Tiny) -> None:
    source = tiny(family)
    model = in_bfloat16(source)
    file = Path(source.model.name_or_path) / "model.safetensors"
    model.save_pretrained(file.parent / "bfloat16")
    mapped = str(file.parent / "bfloat16" / file.name)
    model = AutoModelForCausalLM.from_pretrained(file.parent / "bfloat16").eval()
    assert mapped in Path("/proc/self/maps").read_text()
    pack_linears(model)
    ids = torch.arange(5, 29).unsqueeze(0)
    before = model(input_ids=ids).logits
    own_memory(model)
    assert mapped not in Path("/proc/self/maps").read_text()
    assert torch.equal(model(input_ids=ids).logits, before)
    if model.config.tie_word_embeddings:
        assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_packing_leaves_the_number_of_threads_as_it_was(tiny: Tiny) -> None:
    model = in_bfloat16(tiny("llama"))
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert pack_linears(model)
        with ThreadPoolExecutor(1) as further:
            assert (torch.get_num_threads(), further.submit(torch.get_num_threads).result()) == (3, 3)
    finally:
        torch.set_num_threads(before)
