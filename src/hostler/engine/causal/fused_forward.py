"""The decoder of Llama and its kin, written out: the model's weights, in a third of the operations of its own forward.

For the few tokens of a step the time goes into the number of operations rather than into their size. Here queries, keys
and values are one product, are rotated together and stored at once; the activation, the gate and both residual sums are
done by the products before them, where those are `PackedLinear`.
"""

from typing import Any

import torch
from torch.nn.functional import rms_norm, silu
from transformers import DynamicCache, PreTrainedModel

from hostler.engine.causal.flat_attention import FlatBatch, flat_attention
from hostler.engine.causal.slot_cache import SlotCache
from hostler.engine.packed_linear import JointPart, PackedLinear
from hostler.models.architecture import is_own_class

FUSED_CLASSES = frozenset({"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"})
"""Classes of transformers whose layers are what `FusedForward` takes them for. `tests/engine/test_fused_forward.py` and
`test_architectures.py` hold each of them against `generate`."""

Rotation = tuple[torch.Tensor, torch.Tensor]
"""Cosines, and sines with the first half negated: `[num_tokens, num_heads + 2 * num_kv_heads, head_dim]` each."""


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
        self._num_heads: int = model.config.num_attention_heads
        self._num_kv_heads: int = model.config.num_key_value_heads
        self._num_rotated = self._num_heads + self._num_kv_heads
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
        sin = torch.cat((-first, second), dim=-1)
        num_tokens, head_dim = sin.shape
        # Values are turned by no angle, which leaves them as they are.
        values = sin.new_ones((num_tokens, self._num_kv_heads, head_dim))
        return (
            torch.cat((cos[0].unsqueeze(1).expand(-1, self._num_rotated, -1), values), dim=1),
            torch.cat((sin.unsqueeze(1).expand(-1, self._num_rotated, -1), torch.zeros_like(values)), dim=1),
        )

    def _attend(
        self, index: int, hidden: torch.Tensor, rotation: Rotation, batch: FlatBatch, window: int | None
    ) -> torch.Tensor:
        """`[num_tokens, num_heads * head_dim]`."""
        attention = self._layers[index].self_attn
        heads = _projected(attention, hidden).unflatten(1, (-1, attention.head_dim))
        if hasattr(attention, "q_norm"):
            query, key, value = heads.split((self._num_heads, self._num_kv_heads, self._num_kv_heads), dim=1)
            heads = torch.cat((_normed(attention.q_norm, query), _normed(attention.k_norm, key), value), dim=1)
        cos, sin = rotation
        heads = heads * cos + heads.roll(attention.head_dim // 2, dims=-1) * sin
        layer = self.cache.layers[index]
        layer.store(heads[:, self._num_heads :])
        attended, _ = flat_attention(
            attention,
            heads[:, : self._num_heads].transpose(0, 1).unsqueeze(0),
            layer.keys,
            layer.values,
            flat_batch=batch,
            scaling=attention.scaling,
            sliding_window=window,
        )
        return attended.view(hidden.shape[0], -1)


def _projected(attention: Any, hidden: torch.Tensor) -> torch.Tensor:
    """Queries, keys and values, `[num_tokens, (num_heads + 2 * num_kv_heads) * head_dim]`."""
    if isinstance(attention.q_proj, JointPart):
        return attention.q_proj.joint(hidden)
    return torch.cat((attention.q_proj(hidden), attention.k_proj(hidden), attention.v_proj(hidden)), dim=-1)


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
