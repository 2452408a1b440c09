"""Keys and values of many sequences, each in a slot of its own and from its first column on.

columns   0 ........................ capacity
slot 0    [ a   b   c   .   .   .  ]   sequences that decode stand first,
slot 1    [ d   e   f   g   h   .  ]   so that one slice has all of them
slot 2    [ i   .   .   .   .   .  ]   then those whose prompts are being computed
(free)
"""

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

from hostler.engine.causal.flat_attention import TILE, FlatBatch
from hostler.engine.causal.path import States

COLUMN_SLACK = 128
"""Columns allocated beyond the need, at most: growing copies everything, so it must be rare."""


class SlotLayer(CacheLayerMixin):
    """One layer. `keys`, `values`: `[num_slots, num_kv_heads, num_columns, head_dim]`.

    Both are views of one tensor in which all that a token has lies together, so that it is written at once. What lies
    beyond a sequence's last token is finite: masked columns get weight 0, and 0 times NaN is NaN.
    """

    is_sliding = False

    def __init__(self) -> None:
        super().__init__()
        self.batch: FlatBatch | None = None
        """Whose keys and values the next pass brings."""

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Empty; the arguments' heads, dimensions, dtype and device are taken over."""
        self._shapes = (key_states.shape[1], key_states.shape[3]), (value_states.shape[1], value_states.shape[3])
        self._sizes = [num_heads * head_dim for num_heads, head_dim in self._shapes]
        self._hold(key_states.new_zeros((0, 0, sum(self._sizes))))
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: object, **_kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Put in those of the batch's tokens, `[1, num_kv_heads, num_tokens, head_dim]`; returns all slots whole."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self._write(torch.cat([part[0].transpose(0, 1).flatten(1) for part in (key_states, value_states)], dim=1))
        return self.keys, self.values

    def store(self, heads: torch.Tensor) -> None:
        """Put in those of the batch's tokens, `[num_tokens, 2 * num_kv_heads, head_dim]`: keys, then values."""
        if not self.is_initialized:
            key_states, value_states = heads.transpose(0, 1).unsqueeze(0).chunk(2, dim=1)
            self.lazy_initialization(key_states, value_states)
        self._write(heads.flatten(1))

    def _write(self, states: torch.Tensor) -> None:
        assert self.batch is not None
        self.reserve(self.batch.num_slots, self.batch.max_columns)
        self.states[self.batch.slots, self.batch.positions] = states

    def reserve(self, num_slots: int, num_columns: int) -> None:
        """Make room for so many slots of so many tokens; what is there stays."""
        slots, columns, size = self.states.shape
        if num_slots <= slots and num_columns <= columns:
            return
        if num_slots > slots:
            slots = max(num_slots, min(2 * slots, slots + 8))
        if num_columns > columns:
            # Whole tiles, since attention reads whole ones.
            columns = (num_columns + COLUMN_SLACK) // TILE * TILE
        grown = self.states.new_zeros((slots, columns, size))
        grown[: self.states.shape[0], : self.states.shape[1]] = self.states
        self._hold(grown)

    def _hold(self, states: torch.Tensor) -> None:
        self.states = states
        """`[num_slots, num_columns, keys of all heads and values of all heads]`."""
        self.keys, self.values = (
            part.unflatten(2, shape).transpose(1, 2)
            for part, shape in zip(states.split(self._sizes, dim=2), self._shapes, strict=True)
        )

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
        for layer in self.layers:
            layer.states[target, :num_tokens] = layer.states[source, :num_tokens]

    def swap(self, one: int, other: int, num_tokens: int) -> None:
        """Exchange two sequences, the longer of which has `num_tokens`."""
        for layer in self.layers:
            layer.states[[one, other], :num_tokens] = layer.states[[other, one], :num_tokens]

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
