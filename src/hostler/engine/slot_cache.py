"""Keys and values of many sequences, each in a slot of its own and from its first column on.

columns   0 ........................ capacity
slot 0    [ a   b   c   .   .   .  ]   sequences that decode stand first,
slot 1    [ d   e   f   g   h   .  ]   so that one slice has all of them
slot 2    [ i   .   .   .   .   .  ]   then those whose prompts are being computed
(free)
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

COLUMN_SLACK = 128
"""Columns allocated beyond the need: growing copies everything, so it must be rare."""

States = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values of one sequence: for each layer `[1, num_kv_heads, num_tokens, head_dim]`."""


@dataclass
class SlotLayer:
    """One layer. `keys`, `values`: `[num_slots, num_kv_heads, num_columns, head_dim]`.

    What lies beyond a sequence's last token is finite: masked columns get weight 0, and 0 times NaN is NaN.
    """

    keys: torch.Tensor
    values: torch.Tensor


class SlotCache:
    """All layers' slots. Who stands in which slot is the caller's business."""

    def __init__(
        self, *, num_layers: int, num_kv_heads: int, head_dim: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        def empty() -> torch.Tensor:
            return torch.zeros((0, num_kv_heads, 0, head_dim), dtype=dtype, device=device)

        self.layers = [SlotLayer(empty(), empty()) for _ in range(num_layers)]

    def reserve(self, num_slots: int, num_columns: int) -> None:
        """Make room for so many slots of so many tokens; what is there stays."""
        slots, _, columns, _ = self.layers[0].keys.shape
        if num_slots <= slots and num_columns <= columns:
            return
        if num_slots > slots:
            slots = max(num_slots, min(2 * slots, slots + 8))
        if num_columns > columns:
            columns = num_columns + COLUMN_SLACK
        for layer in self.layers:
            layer.keys, layer.values = _grown(layer.keys, slots, columns), _grown(layer.values, slots, columns)

    def clear(self) -> None:
        """Give the memory back."""
        for layer in self.layers:
            layer.keys, layer.values = layer.keys[:0, :, :0].clone(), layer.values[:0, :, :0].clone()

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
        """Fill a slot that has room."""
        for layer, (keys, values) in zip(self.layers, states, strict=True):
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
