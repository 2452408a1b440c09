"""Keys and values of many sequences as rows of one tensor, aligned at their ends.

Rows join and leave between steps. Since all rows end at the same position, a step appends one column for all of them,
and the model sees an ordinary left-padded batch, which every architecture with an attention mask understands.

    columns   0 ............ length          capacity
    row 0     [pad pad  a  b  c ]  (free)
    row 1     [ d   e   f  g  h ]  (free)
    row 2     [pad pad pad pad i]  (free)
    (free)                                   rows up to the buffer's height
"""

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

COLUMN_SLACK = 128
"""Columns allocated beyond the need: a reallocation copies the whole cache, so it must be rare."""


class RowLayer(CacheLayerMixin):
    """One layer's rows. `keys` and `values`: `[rows allocated, num_kv_heads, columns allocated, head_dim]`.

    Padding is kept finite (zero, or an older token's numbers): masked columns get weight 0, and 0 times NaN is NaN.
    """

    is_sliding = False

    def __init__(self) -> None:
        super().__init__()
        self.num_rows = 0
        self.length = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.keys = key_states.new_zeros((0, key_states.shape[1], 0, key_states.shape[3]))
        self.values = value_states.new_zeros((0, value_states.shape[1], 0, value_states.shape[3]))
        self.is_initialized = True

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        *_args: object,
        **_kwargs: object,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append columns, `[num_rows, num_kv_heads, new, head_dim]`; returns views of all valid ones."""
        start, self.length = self.length, self.length + key_states.shape[2]
        if self.length > self.keys.shape[2]:
            self._reallocate(self.num_rows, start, 0, self.length + COLUMN_SLACK)
        self.keys[: self.num_rows, :, start : self.length] = key_states
        self.values[: self.num_rows, :, start : self.length] = value_states
        return self.keys[: self.num_rows, :, : self.length], self.values[: self.num_rows, :, : self.length]

    def join(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Add a row: `[1, num_kv_heads, its length, head_dim]`."""
        if not self.is_initialized:
            self.lazy_initialization(keys, values)
        row_length = keys.shape[2]
        length = max(self.length, row_length)
        if self.num_rows == self.keys.shape[0] or length > self.keys.shape[2] or length > self.length:
            num_allocated = max(self.num_rows + 1, min(2 * self.num_rows, self.num_rows + 8))
            self._reallocate(num_allocated, self.length, length - self.length, length + COLUMN_SLACK)
        self.length = length
        row = self.num_rows
        self.keys[row, :, : length - row_length] = 0
        self.values[row, :, : length - row_length] = 0
        self.keys[row, :, length - row_length : length] = keys[0]
        self.values[row, :, length - row_length : length] = values[0]
        self.num_rows += 1

    def leave(self, row: int) -> None:
        """Remove a row; the last row takes its place."""
        last = self.num_rows - 1
        if row != last:
            self.keys[row, :, : self.length] = self.keys[last, :, : self.length]
            self.values[row, :, : self.length] = self.values[last, :, : self.length]
        self.num_rows = last

    def trim(self, num_columns: int) -> None:
        """Drop columns from the left that are padding in every row."""
        self._reallocate(self.num_rows, self.length, -num_columns, self.length - num_columns + COLUMN_SLACK)
        self.length -= num_columns

    def _reallocate(self, num_rows: int, length: int, shift: int, capacity: int) -> None:
        """New buffers in which the first `length` valid columns stand `shift` columns further right."""
        self.keys = self._moved(self.keys, num_rows, length, shift, capacity)
        self.values = self._moved(self.values, num_rows, length, shift, capacity)

    def _moved(self, old: torch.Tensor, num_rows: int, length: int, shift: int, capacity: int) -> torch.Tensor:
        new = old.new_zeros((num_rows, old.shape[1], capacity, old.shape[3]))
        source = old[: self.num_rows, :, max(0, -shift) : length]
        new[: self.num_rows, :, max(0, shift) : length + shift] = source
        return new

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.length + query_length, 0

    def get_seq_length(self) -> int:
        return self.length

    def get_max_length(self) -> int:
        return -1


class RowCache(Cache):
    """All layers' rows, and how long each row is."""

    def __init__(self, max_columns: int | None = None) -> None:
        """`max_columns`: how wide the model's tables of positions let a batch be, padding included."""
        super().__init__(layer_class_to_replicate=RowLayer)
        self._max_columns = max_columns
        self.row_lengths: list[int] = []
        """Tokens of each row."""

    def join(self, states: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        """Add a sequence: keys and values of each layer, `[1, num_kv_heads, num_tokens, head_dim]`."""
        while len(self.layers) < len(states):
            self.layers.append(RowLayer())
        for layer, (keys, values) in zip(self.layers, states, strict=True):
            layer.join(keys, values)
        self.row_lengths.append(states[0][0].shape[2])

    def leave(self, row: int) -> None:
        """Remove a sequence; the last one takes its row. Columns that nobody needs any more go with it."""
        for layer in self.layers:
            layer.leave(row)
        self.row_lengths[row] = self.row_lengths[-1]
        self.row_lengths.pop()
        # Copying the rest pays only when much is gained by it.
        if not self.row_lengths:
            self.layers.clear()
        elif self._num_excess_columns() > COLUMN_SLACK:
            self._trim()

    def states(self, row: int, num_tokens: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """A copy of a sequence's first tokens, as `join` takes it."""
        start = self.get_seq_length() - self.row_lengths[row]
        own = slice(row, row + 1), slice(None), slice(start, start + num_tokens)
        return [(layer.keys[own].clone(), layer.values[own].clone()) for layer in self.layers]

    def make_room(self, num_tokens: int) -> None:
        """Call before a forward pass: keeps the columns that it appends within `max_columns`."""
        if self._max_columns is not None and self.get_seq_length() + num_tokens > self._max_columns:
            self._trim()

    def _num_excess_columns(self) -> int:
        """Columns that are padding in every row: what a longer sequence left behind."""
        num_columns: int = self.get_seq_length()
        return num_columns - max(self.row_lengths)

    def _trim(self) -> None:
        if excess := self._num_excess_columns():
            for layer in self.layers:
                layer.trim(excess)

    def grew(self, num_tokens: int) -> None:
        """Note that every row was extended by a forward pass."""
        self.row_lengths = [length + num_tokens for length in self.row_lengths]

    def attention_mask(self, num_new: int, device: torch.device) -> torch.Tensor:
        """`[num_rows, length + num_new]` int64: 0 for padding, 1 for tokens and those about to be appended."""
        total = self.get_seq_length() + num_new
        lengths = torch.tensor(self.row_lengths, device=device).unsqueeze(1) + num_new
        columns = torch.arange(total, device=device).unsqueeze(0)
        return (columns >= total - lengths).long()
