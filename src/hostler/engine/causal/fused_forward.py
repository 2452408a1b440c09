"""The decoder of Llama and its kin, written out: the model's weights, in a third of the operations of its own forward.

For the few tokens of a step the time goes into the number of operations rather than into their size. Here queries and
keys are rotated together, and the activation, the gate and both residual sums are done by the products before them,
where those are `PackedLinear`.
"""

from typing import Any

import torch
from torch.nn.functional import rms_norm, silu
from transformers import DynamicCache, PreTrainedModel

from hostler.engine.causal.flat_attention import FlatBatch, flat_attention
from hostler.engine.causal.slot_cache import SlotCache
from hostler.engine.packed_linear import PackedLinear
from hostler.models.architecture import is_own_class

FUSED_CLASSES = frozenset({"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"})
"""Classes of transformers whose layers are what `FusedForward` takes them for. `tests/engine/test_fused_forward.py` and
`test_architectures.py` hold each of them against `generate`."""

Rotation = tuple[torch.Tensor, torch.Tensor]
"""Cosines, and sines with the first half negated: `[num_tokens, 1, head_dim]` each."""


def can_fuse(model: PreTrainedModel) -> bool:
    """Whether `FusedForward` computes what the model's own forward does."""
    is_known = type(model).__name__ in FUSED_CLASSES and is_own_class(model)
    return is_known and model.config.hidden_act in ("silu", "swish")


class FusedForward:
    """Implements `hostler.engine.causal.flat_path.Forward`."""

    def __init__(self, model: PreTrainedModel) -> None:
        decoder: Any = model.model
        self._embed: torch.nn.Module = decoder.embed_tokens
        self._rotary: torch.nn.Module = decoder.rotary_emb
        self._norm: torch.nn.Module = decoder.norm
        self._lm_head: torch.nn.Module = model.lm_head
        self._layers = list(decoder.layers)
        self._windows: list[int | None] = [
            getattr(layer, "sliding_window", None) for layer in DynamicCache(config=model.config).layers
        ]
        self.cache = SlotCache(len(self._layers))

    def logits(self, batch: FlatBatch, wanted: list[int]) -> torch.Tensor:
        self.cache.expect(batch)
        hidden = self._embed(batch.token_ids)
        rotation = self._rotation(hidden, batch.positions)
        for index, (layer, window) in enumerate(zip(self._layers, self._windows, strict=True)):
            attended = self._attend(index, _normed(layer.input_layernorm, hidden), rotation, batch, window)
            hidden = _plus(layer.self_attn.o_proj, attended, hidden)
            hidden = _fed_forward(layer.mlp, _normed(layer.post_attention_layernorm, hidden), hidden)
        logits: torch.Tensor = self._lm_head(_normed(self._norm, hidden[wanted]))
        return logits

    def _rotation(self, hidden: torch.Tensor, positions: torch.Tensor) -> Rotation:
        cos, sin = self._rotary(hidden.unsqueeze(0), positions.unsqueeze(0))
        first, second = sin[0].chunk(2, dim=-1)
        return cos[0].unsqueeze(1), torch.cat((-first, second), dim=-1).unsqueeze(1)

    def _attend(
        self, index: int, hidden: torch.Tensor, rotation: Rotation, batch: FlatBatch, window: int | None
    ) -> torch.Tensor:
        """`[num_tokens, num_heads * head_dim]`."""
        attention = self._layers[index].self_attn
        shape = (hidden.shape[0], -1, attention.head_dim)
        query, key = attention.q_proj(hidden).view(shape), attention.k_proj(hidden).view(shape)
        if hasattr(attention, "q_norm"):
            query, key = _normed(attention.q_norm, query), _normed(attention.k_norm, key)
        both, num_heads = torch.cat((query, key), dim=1), query.shape[1]
        cos, sin = rotation
        both = both * cos + both.roll(attention.head_dim // 2, dims=-1) * sin
        both = both.transpose(0, 1).unsqueeze(0)
        value = attention.v_proj(hidden).view(shape).transpose(0, 1).unsqueeze(0)
        keys, values = self.cache.layers[index].update(both[:, num_heads:], value)
        attended, _ = flat_attention(
            attention,
            both[:, :num_heads],
            keys,
            values,
            flat_batch=batch,
            scaling=attention.scaling,
            sliding_window=window,
        )
        return attended.view(hidden.shape[0], -1)


def _normed(norm: Any, hidden: torch.Tensor) -> torch.Tensor:
    return rms_norm(hidden, norm.weight.shape, norm.weight, norm.variance_epsilon)


def _fed_forward(mlp: Any, hidden: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
    if isinstance(mlp.gate_proj, PackedLinear) and isinstance(mlp.up_proj, PackedLinear):
        gated = mlp.up_proj.combined(hidden, mlp.gate_proj.swished(hidden), "mul")
    else:
        gated = silu(mlp.gate_proj(hidden)) * mlp.up_proj(hidden)
    return _plus(mlp.down_proj, gated, residual)


def _plus(linear: Any, hidden: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
    if isinstance(linear, PackedLinear):
        return linear.combined(hidden, residual, "add")
    summed: torch.Tensor = residual + linear(hidden)
    return summed
