"""Keys and values of many sequences, each in a slot of its own and from its first column on.

columns   0 ........................ capacity
slot 0    [ a   b   c   .   .   .  ]   sequences that decode stand first,
slot 1    [ d   e   f   g   h   .  ]   so that one slice has all of them
slot 2    [ i   .   .   .   .   .  ]   then those whose prompts are being computed
(free)
"""

from collections.abc import Iterator

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

from hostler.engine.causal.flat_attention import FlatBatch
from hostler.engine.causal.path import States

COLUMN_SLACK = 128
"""Columns allocated beyond the need: growing copies everything, so it must be rare."""


class SlotLayer(CacheLayerMixin):
    """One layer. `keys`, `values`: `[num_slots, num_kv_heads, num_columns, head_dim]`.

    What lies beyond a sequence's last token is finite: masked columns get weight 0, and 0 times NaN is NaN.
    """

    is_sliding = False

    def __init__(self) -> None:
        super().__init__()
        self.batch: FlatBatch | None = None
        """Whose keys and values the next pass brings."""

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.keys = key_states.new_zeros((0, key_states.shape[1], 0, key_states.shape[3]))
        self.values = value_states.new_zeros((0, value_states.shape[1], 0, value_states.shape[3]))
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: object, **_kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Put in those of the batch's tokens, `[1, num_kv_heads, num_tokens, head_dim]`; returns all slots whole."""
        assert self.batch is not None
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self.reserve(self.batch.num_slots, self.batch.max_columns)
        self.keys[self.batch.slots, :, self.batch.positions] = key_states[0].transpose(0, 1)
        self.values[self.batch.slots, :, self.batch.positions] = value_states[0].transpose(0, 1)
        return self.keys, self.values

    def reserve(self, num_slots: int, num_columns: int) -> None:
        """Make room for so many slots of so many tokens; what is there stays."""
        slots, _, columns, _ = self.keys.shape
        if num_slots <= slots and num_columns <= columns:
            return
        if num_slots > slots:
            slots = max(num_slots, min(2 * slots, slots + 8))
        if num_columns > columns:
            columns = num_columns + COLUMN_SLACK
        self.keys, self.values = _grown(self.keys, slots, columns), _grown(self.values, slots, columns)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return query_length, 0

    def get_seq_length(self) -> int:
        """Of no one sequence: positions are given, not counted."""
        return 0

    def get_max_length(self) -> int:
        return -1


class SlotCache(Cache):
    """All layers' slots. Who stands in which slot is the caller's business."""

    layers: list[SlotLayer]

    def __init__(self, num_layers: int) -> None:
        super().__init__(layers=[SlotLayer() for _ in range(num_layers)])

    def expect(self, batch: FlatBatch) -> None:
        """Say whose tokens the next forward pass computes."""
        for layer in self.layers:
            layer.batch = batch

    def clear(self) -> None:
        """Give the memory back."""
        for layer in self.layers:
            layer.batch = None
            if layer.is_initialized:
                layer.lazy_initialization(layer.keys, layer.values)

    def move(self, source: int, target: int, num_tokens: int) -> None:
        """Copy a sequence to another slot, over what is there."""
        for tensor in self._tensors():
            tensor[target, :, :num_tokens] = tensor[source, :, :num_tokens]

    def swap(self, one: int, other: int, num_tokens: int) -> None:
        """Exchange two sequences, the longer of which has `num_tokens`."""
        for tensor in self._tensors():
            tensor[[one, other], :, :num_tokens] = tensor[[other, one], :, :num_tokens]

    def states(self, slot: int, num_tokens: int) -> States:
        """A copy of a sequence's first tokens."""
        own = slice(slot, slot + 1), slice(None), slice(num_tokens)
        return [(layer.keys[own].clone(), layer.values[own].clone()) for layer in self.layers]

    def put(self, slot: int, states: States) -> None:
        """Fill a slot, which may be a new one."""
        for layer, (keys, values) in zip(self.layers, states, strict=True):
            if not layer.is_initialized:
                layer.lazy_initialization(keys, values)
            layer.reserve(slot + 1, keys.shape[2])
            layer.keys[slot, :, : keys.shape[2]] = keys[0]
            layer.values[slot, :, : values.shape[2]] = values[0]

    def _tensors(self) -> Iterator[torch.Tensor]:
        for layer in self.layers:
            yield layer.keys
            yield layer.values


def _grown(old: torch.Tensor, num_slots: int, num_columns: int) -> torch.Tensor:
    new = old.new_zeros((num_slots, old.shape[1], num_columns, old.shape[3]))
    new[: old.shape[0], :, : old.shape[2]] = old
    return new
