"""The sizes in a `config.json` that memory depends on. No two architectures name them alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

POSITION_LIMITS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length")
RELATIVE_POSITIONS = frozenset(("t5", "mt5", "umt5", "longt5", "switch_transformers"))
"""Model types whose configs may carry `n_positions` from training, though their positions are relative."""

_MAX_SIZE = 2**40
_WITHOUT_KEYS = frozenset(("mamba", "mamba2", "falcon_mamba", "rwkv", "xlstm"))
"""Model types whose state does not grow with the sequence."""
_OWN_LAYER_COUNTS = ("decoder_layers", "num_decoder_layers")
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads", "attention_heads")
_DECODER_HEADS = ("decoder_attention_heads", "num_decoder_attention_heads", *_HEADS)
_KEY_VALUE_HEADS = ("num_key_value_heads", "num_kv_heads", "n_head_kv")
_WIDTHS = ("hidden_size", "n_embd", "d_model", "n_embed")
_HEAD_WIDTHS = ("head_dim", "attention_head_dim", "d_kv")
_INNER_WIDTHS = ("intermediate_size", "ffn_dim", "decoder_ffn_dim", "d_ff", "n_inner", "ffn_hidden_size")
_LAYER_TYPES = ("layer_types", "layers_block_type")
_TEXT_PARTS = ("text_config", "decoder", "llm_config")
"""Where models of several parts keep the sizes of the one that writes."""


@dataclass(frozen=True)
class ModelShape:
    cache_numbers_per_token: int
    """Of keys and values in all layers; cross-attention's are counted with an encoder's tokens as many."""
    max_positions: int | None
    """`None`: the architecture sets no bound."""
    hidden_size: int
    intermediate_size: int
    num_heads: int
    vocab_size: int


def read_shape(config: Mapping[str, Any]) -> ModelShape | None:
    """Of a parsed `config.json`; `None` where it does not say how many layers and how wide they are."""
    text = _text_part(config)
    is_encoder_decoder = bool(config.get("is_encoder_decoder"))
    hidden_size = _first(text, _WIDTHS)
    num_layers = _num_layers_with_keys(text, is_encoder_decoder=is_encoder_decoder)
    if hidden_size is None or num_layers is None:
        return None
    num_heads = _first(text, _DECODER_HEADS) or 1
    per_layer = _cache_numbers_per_layer(text, hidden_size, num_heads)
    return ModelShape(
        cache_numbers_per_token=num_layers * per_layer * (2 if is_encoder_decoder else 1),
        max_positions=_max_positions(text),
        hidden_size=hidden_size,
        intermediate_size=_first(text, _INNER_WIDTHS) or 4 * hidden_size,
        num_heads=num_heads,
        vocab_size=_first(text, ("decoder_vocab_size", "vocab_size")) or 0,
    )


def _text_part(config: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in _TEXT_PARTS:
        part = config.get(name)
        if isinstance(part, Mapping) and _first(part, _WIDTHS) is not None:
            return part
    return config


def _num_layers_with_keys(config: Mapping[str, Any], *, is_encoder_decoder: bool) -> int | None:
    if _type_of(config) in _WITHOUT_KEYS:
        return 0
    num_layers = _first(config, (*_OWN_LAYER_COUNTS, *_LAYERS))
    types = next((config[name] for name in _LAYER_TYPES if isinstance(config.get(name), list)), None)
    if types is not None and not is_encoder_decoder:
        return sum(("attention" in kind and kind != "linear_attention") or kind == "hybrid" for kind in map(str, types))
    if isinstance(indices := config.get("attn_layer_indices"), list):
        return len(indices)
    period = _first(config, ("attn_layer_period", "full_attention_interval"))
    if num_layers is None or period is None:
        return num_layers
    offset: object = config.get("attn_layer_offset", period - 1)
    return len(range(offset, num_layers, period)) if type(offset) is int and 0 <= offset < period else 0


def _cache_numbers_per_layer(config: Mapping[str, Any], hidden_size: int, num_heads: int) -> int:
    """Of one token."""
    if latent := _first(config, ("kv_lora_rank",)):
        return latent + (_first(config, ("qk_rope_head_dim",)) or 0)
    head_width = _first(config, _HEAD_WIDTHS) or hidden_size // num_heads
    if config.get("model_type") == "falcon" and config.get("new_decoder_architecture"):
        # transformers stores what its few heads have once for each head of the queries.
        return 2 * num_heads * head_width
    num_kv_heads = 1 if config.get("multi_query") else _first(config, _KEY_VALUE_HEADS) or num_heads
    return 2 * num_kv_heads * head_width


def _type_of(config: Mapping[str, Any]) -> str:
    return str(config.get("model_type"))


def _max_positions(config: Mapping[str, Any]) -> int | None:
    if _type_of(config) in RELATIVE_POSITIONS:
        return None
    limits = [limit for name in POSITION_LIMITS if (limit := _first(config, (name,))) is not None]
    return min(limits, default=None)


def _first(config: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    """The first of these that is a positive whole number, and no absurd one; of a list, which has one for each layer,
    its largest."""
    for name in names:
        value = config.get(name)
        if isinstance(value, list) and value and all(type(item) is int for item in value):
            value = max(value)
        if type(value) is int and 0 < value <= _MAX_SIZE:
            return value
    return None
