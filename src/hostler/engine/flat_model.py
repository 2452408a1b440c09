"""Llama and its kin over a flat list of tokens: those of all sequences of a step in one pass, without padding.

Everything but attention treats tokens one by one, so it does not matter whose they are: weights are read once a step,
for those that decode and for prompts alike. Attention is computed for all decoding sequences together, and for each
piece of a prompt by itself. The numbers are those of the model's own modules, which are called here one by one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import DynamicCache, PreTrainedModel

from hostler.engine.slot_cache import SlotCache, SlotLayer

FLAT_CLASSES = frozenset({"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"})
"""Classes of transformers whose decoder layers are what `FlatModel` takes them for; the tests hold each of them
against `generate`."""
FIXED_ROPE_TYPES = frozenset({"default", "linear", "llama3", "yarn"})
"""Rotations that depend on a token's position alone, and not on how long its sequence, or another, has become."""


def can_run_flat(model: PreTrainedModel) -> bool:
    """Whether `FlatModel` computes what the model's own forward does."""
    cls = type(model)
    # Code that comes with a model may use a known name for something else.
    is_known = cls.__name__ in FLAT_CLASSES and cls.__module__.startswith("transformers.")
    return is_known and getattr(model.model.rotary_emb, "rope_type", None) in FIXED_ROPE_TYPES


@dataclass(frozen=True)
class Piece:
    """Consecutive tokens of one sequence's prompt."""

    slot: int
    start: int
    """Position of the first."""
    stop: int


@dataclass(frozen=True)
class FlatBatch:
    """The tokens of one pass: first those of the sequences in slots 0, 1, …, one each, then the pieces'."""

    token_ids: torch.Tensor
    """`[num_tokens]` int64."""
    positions: torch.Tensor
    """`[num_tokens]` int64, on the same device."""
    slots: torch.Tensor
    """`[num_tokens]` int64: where each token's keys and values go."""
    num_decoding: int
    num_columns: int
    """Length of the longest decoding sequence, its new token included; 0 where none decodes."""
    pieces: list[Piece]


class FlatModel:
    """A model's modules, arranged for flat batches."""

    def __init__(self, model: PreTrainedModel) -> None:
        decoder: Any = model.model
        self._embed: Callable[..., torch.Tensor] = decoder.embed_tokens
        self._rotary = decoder.rotary_emb
        self._layers = list(decoder.layers)
        self._norm: Callable[..., torch.Tensor] = decoder.norm
        self._lm_head: Callable[..., torch.Tensor] = model.lm_head
        self._head_dim: int = self._layers[0].self_attn.head_dim
        self._num_kv_heads: int = model.config.num_key_value_heads
        self._dtype: torch.dtype = model.dtype
        self._device: torch.device = model.device
        self._windows: list[int | None] = [
            getattr(layer, "sliding_window", None) for layer in DynamicCache(config=model.config).layers
        ] or [None] * len(self._layers)

    def new_cache(self) -> SlotCache:
        return SlotCache(
            num_layers=len(self._layers),
            num_kv_heads=self._num_kv_heads,
            head_dim=self._head_dim,
            dtype=self._dtype,
            device=self._device,
        )

    def hidden_states(self, batch: FlatBatch, cache: SlotCache) -> torch.Tensor:
        """`[num_tokens, hidden_size]`, before the last norm; the tokens' keys and values are put into the cache."""
        hidden = self._embed(batch.token_ids)
        rotation = self._rotation(hidden, batch.positions)
        masks = {window: _masks(batch, window, self._dtype) for window in set(self._windows)}
        for layer, slots, window in zip(self._layers, cache.layers, self._windows, strict=True):
            query, key, value = self._project(layer.self_attn, layer.input_layernorm(hidden), rotation)
            slots.keys[batch.slots, :, batch.positions] = key
            slots.values[batch.slots, :, batch.positions] = value
            attended = _attend(query, slots, batch, masks[window], layer.self_attn.scaling)
            hidden = hidden + layer.self_attn.o_proj(attended)
            hidden = hidden + layer.mlp(layer.post_attention_layernorm(hidden))
        return hidden

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """`[num_tokens, vocab_size]` for `[num_tokens, hidden_size]`."""
        return self._lm_head(self._norm(hidden))

    def _rotation(self, hidden: torch.Tensor, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines, and sines with the first half negated: `[num_tokens, 1, head_dim]` each."""
        cos, sin = self._rotary(hidden.unsqueeze(0), positions.unsqueeze(0))
        first, second = sin[0].chunk(2, dim=-1)
        return cos[0].unsqueeze(1), torch.cat((-first, second), dim=-1).unsqueeze(1)

    def _project(
        self, attention: Any, hidden: torch.Tensor, rotation: tuple[torch.Tensor, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries, keys, values, `[num_tokens, heads, head_dim]`, rotated to their positions."""
        shape = (hidden.shape[0], -1, self._head_dim)
        query, key = attention.q_proj(hidden).view(shape), attention.k_proj(hidden).view(shape)
        if hasattr(attention, "q_norm"):
            query, key = attention.q_norm(query), attention.k_norm(key)
        # In one tensor, so that it takes half as many calls.
        both = torch.cat((query, key), dim=1)
        cos, sin = rotation
        both = both * cos + both.roll(self._head_dim // 2, dims=-1) * sin
        num_heads = query.shape[1]
        return both[:, :num_heads], both[:, num_heads:], attention.v_proj(hidden).view(shape)


@dataclass(frozen=True)
class Masks:
    """What is added to the attention scores: 0 where a token may look, minus infinity where not."""

    decoding: torch.Tensor | None
    """`[num_decoding, 1, 1, num_columns]`; `None` where nothing decodes."""
    pieces: list[torch.Tensor | None]
    """`[piece's tokens, its stop]`; `None` stands for causal, from the sequence's first token on."""


def _masks(batch: FlatBatch, window: int | None, dtype: torch.dtype) -> Masks:
    decoding = None
    if batch.num_decoding:
        decoding = _mask(batch.positions[: batch.num_decoding], batch.num_columns, window, dtype)[:, None, None]
    pieces: list[torch.Tensor | None] = []
    offset = batch.num_decoding
    for piece in batch.pieces:
        end = offset + piece.stop - piece.start
        is_plain = piece.start == 0 and (window is None or piece.stop <= window)
        pieces.append(None if is_plain else _mask(batch.positions[offset:end], piece.stop, window, dtype))
        offset = end
    return Masks(decoding, pieces)


def _mask(positions: torch.Tensor, num_columns: int, window: int | None, dtype: torch.dtype) -> torch.Tensor:
    columns = torch.arange(num_columns, device=positions.device)
    ends = positions.unsqueeze(1)
    is_seen = columns <= ends
    if window is not None:
        is_seen &= columns > ends - window
    return torch.zeros(is_seen.shape, dtype=dtype, device=positions.device).masked_fill(~is_seen, -torch.inf)


def _attend(query: torch.Tensor, slots: SlotLayer, batch: FlatBatch, masks: Masks, scale: float) -> torch.Tensor:
    """`[num_tokens, num_heads * head_dim]`."""
    num_tokens, num_heads, head_dim = query.shape
    attended = torch.empty_like(query)
    if num_decoding := batch.num_decoding:
        result = scaled_dot_product_attention(
            query[:num_decoding].unsqueeze(2),
            slots.keys[:num_decoding, :, : batch.num_columns],
            slots.values[:num_decoding, :, : batch.num_columns],
            attn_mask=masks.decoding,
            scale=scale,
            enable_gqa=True,
        )
        attended[:num_decoding] = result.squeeze(2)
    offset = num_decoding
    for piece, mask in zip(batch.pieces, masks.pieces, strict=True):
        end = offset + piece.stop - piece.start
        result = scaled_dot_product_attention(
            query[offset:end].transpose(0, 1).unsqueeze(0),
            slots.keys[piece.slot : piece.slot + 1, :, : piece.stop],
            slots.values[piece.slot : piece.slot + 1, :, : piece.stop],
            attn_mask=mask,
            is_causal=mask is None,
            scale=scale,
            enable_gqa=True,
        )
        attended[offset:end] = result[0].transpose(0, 1)
        offset = end
    return attended.view(num_tokens, num_heads * head_dim)
