"""Attention over a flat list of tokens: those of all sequences of a step in one pass, without padding.

Everything else in a decoder treats tokens one by one, so it does not matter whose they are. Models that look their
attention up in transformers' `AttentionInterface` can therefore be given all of them as one long row: this function
tells the sequences apart again. It computes all that decode together, and each piece of a prompt by itself.
"""

from dataclasses import dataclass, field

import torch
from torch.nn.functional import pad, scaled_dot_product_attention
from transformers import AttentionInterface

NAME = "hostler_flat"
"""What models call this function by, in `config._attn_implementation`. It has no mask function, so none is made."""
IGNORED_ARGUMENTS = frozenset(
    {"cache_position", "dropout", "output_attentions", "output_router_logits", "position_ids", "use_cache"}
)
"""What forwards hand down to it besides, and what means nothing here. Anything else may well mean something."""

TILE = 64
"""Tokens. torch's attention on a CPU compiles products of its own for pieces of so many or more, for each length and
each number of columns, and keeps all of them: 40 to 90 kB for each new prompt. Whole tiles have few lengths."""
_COMPILED_DTYPES = (torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class Piece:
    """Consecutive tokens of one sequence's prompt."""

    slot: int
    start: int
    """Position of the first."""
    stop: int

    def extent(self, dtype: torch.dtype, device: torch.device) -> tuple[int, int]:
        """How many queries and columns to compute with: its own, or more, of which nothing is seen or wanted."""
        num_tokens = self.stop - self.start
        if num_tokens < TILE or device.type != "cpu" or dtype not in _COMPILED_DTYPES:
            return num_tokens, self.stop
        return _whole_tiles(num_tokens), _whole_tiles(self.stop)


def _whole_tiles(count: int) -> int:
    return -(-count // TILE) * TILE


@dataclass(frozen=True)
class Masks:
    """What is added to the attention scores: 0 where a token may look, minus infinity where not."""

    decoding: torch.Tensor | None
    """`[num_decoding, 1, 1, num_columns]`; `None` where nothing decodes."""
    pieces: list[torch.Tensor | None]
    """Of each piece's extent; `None` stands for causal, from the sequence's first token on."""


@dataclass(frozen=True)
class FlatBatch:
    """The tokens of one pass: first those of the sequences in slots 0, 1, …, one each, then the pieces'."""

    token_ids: torch.Tensor
    """`[num_tokens]` int64."""
    positions: torch.Tensor
    """`[num_tokens]` int64, on the same device."""
    slots: torch.Tensor
    """`[num_tokens]` int64: where each token's keys and values go."""
    num_slots: int
    """Slots that hold a sequence, in this pass or not."""
    max_columns: int
    """Length of the longest sequence of the pass, after it."""
    num_decoding: int
    num_columns: int
    """Length of the longest decoding sequence, its new token included; 0 where none decodes."""
    pieces: list[Piece]
    _masks: dict[int | None, Masks] = field(default_factory=dict)

    def masks(self, window: int | None, dtype: torch.dtype) -> Masks:
        """The same for all layers with the same window, and so made once."""
        if window not in self._masks:
            self._masks[window] = self._new_masks(window, dtype)
        return self._masks[window]

    def _new_masks(self, window: int | None, dtype: torch.dtype) -> Masks:
        decoding = None
        if self.num_decoding:
            decoding = _mask(self.positions[: self.num_decoding], self.num_columns, window, dtype)[:, None, None]
        return Masks(decoding, [self._mask_of(piece, window, dtype) for piece in self.pieces])

    def _mask_of(self, piece: Piece, window: int | None, dtype: torch.dtype) -> torch.Tensor | None:
        if piece.start == 0 and (window is None or piece.stop <= window):
            return None
        device = self.positions.device
        num_queries, num_columns = piece.extent(dtype, device)
        positions = torch.arange(piece.start, piece.start + num_queries, device=device)
        return _mask(positions, num_columns, window, dtype)


def _mask(positions: torch.Tensor, num_columns: int, window: int | None, dtype: torch.dtype) -> torch.Tensor:
    columns = torch.arange(num_columns, device=positions.device)
    ends = positions.unsqueeze(1)
    is_seen = columns <= ends
    if window is not None:
        is_seen &= columns > ends - window
    return torch.zeros(is_seen.shape, dtype=dtype, device=positions.device).masked_fill(~is_seen, -torch.inf)


def flat_attention(
    _module: torch.nn.Module,
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    _attention_mask: torch.Tensor | None = None,
    *,
    flat_batch: FlatBatch,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **others: object,
) -> tuple[torch.Tensor, None]:
    """As `AttentionInterface` has it; `[1, num_tokens, num_heads, head_dim]`.

    `query`: `[1, num_heads, num_tokens, head_dim]`. `keys` and `values`: all slots,
    `[num_slots, num_kv_heads, num_columns, head_dim]`, those of the batch's tokens in them; whole tiles of columns.

    Raises:
        TypeError: for an argument that this function does not know.
    """
    if unknown := {name for name, value in others.items() if value is not None} - IGNORED_ARGUMENTS:
        raise TypeError(f"arguments without a meaning in a flat batch: {', '.join(sorted(unknown))}")
    masks = flat_batch.masks(sliding_window, query.dtype)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    tokens = query[0].transpose(0, 1)
    attended = torch.empty_like(tokens, memory_format=torch.contiguous_format)
    if count := flat_batch.num_decoding:
        own = slice(count), slice(None), slice(flat_batch.num_columns)
        result = _attend(tokens[:count].unsqueeze(2), keys[own], values[own], masks.decoding, scale, softcap)
        attended[:count] = result.squeeze(2)
    offset = count
    for piece, mask in zip(flat_batch.pieces, masks.pieces, strict=True):
        num_tokens = piece.stop - piece.start
        num_queries, num_columns = piece.extent(query.dtype, query.device)
        own = slice(piece.slot, piece.slot + 1), slice(None), slice(num_columns)
        queries = pad(query[:, :, offset : offset + num_tokens], (0, 0, 0, num_queries - num_tokens))
        result = _attend(queries, keys[own], values[own], mask, scale, softcap)
        attended[offset : offset + num_tokens] = result[0, :, :num_tokens].transpose(0, 1)
        offset += num_tokens
    return attended.unsqueeze(0), None


def _attend(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float,
    softcap: float | None,
) -> torch.Tensor:
    """`[batch, num_heads, num_queries, head_dim]`; without a mask, causal."""
    num_kv_heads = keys.shape[1]
    if softcap is None and mask is not None and query.shape[2] == 1:
        # The heads that share keys are put where several positions would be: the keys are read once for all of them.
        grouped = query.squeeze(2).unflatten(1, (num_kv_heads, -1))
        return (
            scaled_dot_product_attention(grouped, keys, values, attn_mask=mask, scale=scale).flatten(1, 2).unsqueeze(2)
        )
    if softcap is None:
        return scaled_dot_product_attention(
            query, keys, values, attn_mask=mask, is_causal=mask is None, scale=scale, enable_gqa=True
        )
    num_queries, num_columns = query.shape[2], keys.shape[2]
    if mask is None:
        mask = _mask(torch.arange(num_queries, device=query.device), num_columns, None, query.dtype)
    grouped = query.unflatten(1, (num_kv_heads, -1))
    scores = torch.matmul(grouped, keys.unsqueeze(2).transpose(-1, -2)) * scale
    # Heads have two axes here: those of keys, and those that share them.
    mask = mask.unsqueeze(1) if mask.ndim == 4 else mask
    weights = torch.softmax(softcap * torch.tanh(scores / softcap) + mask, dim=-1, dtype=torch.float32)
    return torch.matmul(weights.to(values.dtype), values.unsqueeze(2)).flatten(1, 2)


AttentionInterface.register(NAME, flat_attention)
