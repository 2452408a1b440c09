"""What a config says of keys and values, against what the model's own cache holds."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    BambaConfig,
    BloomConfig,
    CodeGenConfig,
    DeepseekV3Config,
    DynamicCache,
    EncoderDecoderCache,
    GemmaConfig,
    GPT2Config,
    GPTBigCodeConfig,
    GPTNeoXConfig,
    LlamaConfig,
    OPTConfig,
    PreTrainedConfig,
    T5Config,
)

from hostler.models.architecture import max_position
from hostler.models.model_shape import read_shape
from tests.tiny_causal import ALONE_CONFIGS, CAUSAL_CONFIGS
from tests.tiny_seq2seq import ALONE_SEQ2SEQ_CONFIGS, SEQ2SEQ_CONFIGS

torch.set_num_threads(1)

VOCAB_SIZE = 64
_SIZES: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": VOCAB_SIZE}
_LIKE_GPT: dict[str, Any] = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "vocab_size": VOCAB_SIZE}
CONFIGS: dict[str, PreTrainedConfig] = {
    family: config(VOCAB_SIZE)
    for family, config in (CAUSAL_CONFIGS | ALONE_CONFIGS | SEQ2SEQ_CONFIGS | ALONE_SEQ2SEQ_CONFIGS).items()
} | {
    "gpt2": GPT2Config(**_LIKE_GPT),
    "codegen": CodeGenConfig(**_LIKE_GPT, n_ctx=64, rotary_dim=4),
    "t5": T5Config(d_model=32, d_kv=4, d_ff=64, num_layers=3, num_decoder_layers=2, num_heads=4, vocab_size=VOCAB_SIZE),
    "opt": OPTConfig(**_SIZES, ffn_dim=64, word_embed_proj_dim=16),
    "gpt_neox": GPTNeoXConfig(**_SIZES, intermediate_size=64),
    "bloom": BloomConfig(hidden_size=32, n_layer=2, n_head=4, vocab_size=VOCAB_SIZE),
    "llama": LlamaConfig(**_SIZES, intermediate_size=64, num_key_value_heads=2),
    "gemma": GemmaConfig(**_SIZES, intermediate_size=64, num_key_value_heads=1, head_dim=16),
    "gpt_bigcode": GPTBigCodeConfig(**_LIKE_GPT),
    "gpt_bigcode with a head for each query": GPTBigCodeConfig(**_LIKE_GPT, multi_query=False),
    "deepseek_v3": DeepseekV3Config(
        **_SIZES,
        intermediate_size=64,
        moe_intermediate_size=32,
        num_key_value_heads=4,
        n_routed_experts=4,
        n_group=2,
        topk_group=1,
        num_experts_per_tok=2,
        kv_lora_rank=16,
        q_lora_rank=16,
        qk_rope_head_dim=8,
        qk_nope_head_dim=8,
        v_head_dim=8,
        first_k_dense_replace=1,
    ),
    "bamba": BambaConfig(
        **_SIZES,
        intermediate_size=64,
        num_key_value_heads=2,
        attn_layer_indices=[1],
        mamba_n_heads=8,
        mamba_d_head=8,
        mamba_d_state=8,
        mamba_chunk_size=8,
        mamba_n_groups=1,
    ),
}
"""Every family that tests know, and further ways to save keys."""


@torch.inference_mode()
def cached_numbers(model: torch.nn.Module) -> int:
    """That one token leaves in the model's cache."""
    token = torch.zeros((1, 1), dtype=torch.long)
    if model.config.is_encoder_decoder:
        pair = EncoderDecoderCache(DynamicCache(), DynamicCache())
        encoded = model.get_encoder()(input_ids=token)
        model(encoder_outputs=encoded, decoder_input_ids=token, past_key_values=pair, use_cache=True)
        layers = [*pair.self_attention_cache.layers, *pair.cross_attention_cache.layers]
    else:
        cache = DynamicCache(config=model.config)
        model(input_ids=token, past_key_values=cache, use_cache=True)
        layers = cache.layers
    tensors = [getattr(layer, part, None) for layer in layers for part in ("keys", "values")]
    return sum(tensor.numel() for tensor in tensors if tensor is not None)


@pytest.mark.parametrize("family", CONFIGS)
def test_each_family_caches_as_many_numbers_as_its_config_says(family: str, tmp_path: Path) -> None:
    config = CONFIGS[family]
    config.save_pretrained(tmp_path)
    shape = read_shape(json.loads((tmp_path / "config.json").read_text()))
    auto_class = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    assert shape is not None
    assert shape.cache_numbers_per_token == cached_numbers(auto_class.from_config(config).eval())
    assert shape.max_positions == max_position(config)
    assert shape.vocab_size == VOCAB_SIZE


def test_the_part_that_writes_counts_where_a_model_has_several() -> None:
    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 64}
    shape = read_shape({"model_type": "gemma3", "text_config": sizes, "vision_config": {"hidden_size": 1000}})
    assert shape is not None
    assert (shape.hidden_size, shape.cache_numbers_per_token) == (32, 3 * 2 * 32)


@pytest.mark.parametrize("config", [{}, {"hidden_size": "wide", "num_hidden_layers": 2}, {"hidden_size": 32}])
def test_a_config_without_sizes_has_no_shape(config: dict[str, object]) -> None:
    assert read_shape(config) is None


@pytest.mark.parametrize(
    "odd",
    [
        {"model_type": ["jamba"]},
        {"num_hidden_layers": 10**4000},
        {"hidden_size": 2**60},
        {"attn_layer_period": 2, "num_hidden_layers": 2**40},
        {"attn_layer_period": 2, "attn_layer_offset": "1"},
        {"layer_types": [["attention"], 5]},
    ],
    ids=["type", "layers", "width", "period", "offset", "kinds"],
)
def test_absurd_sizes_neither_fail_nor_take_long(odd: dict[str, object]) -> None:
    config = {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4}
    shape = read_shape(config | odd)
    assert shape is None or float(shape.cache_numbers_per_token) >= 0


def test_layers_with_keys_are_counted_by_their_period() -> None:
    config = {"hidden_size": 64, "num_hidden_layers": 10, "num_attention_heads": 4, "attn_layer_period": 4}
    counted = [read_shape(config | {"attn_layer_offset": offset}) for offset in (1, 3)]
    assert [shape.cache_numbers_per_token // 128 for shape in counted if shape is not None] == [3, 2]
