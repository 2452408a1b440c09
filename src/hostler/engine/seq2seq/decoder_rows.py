"""Decoders of different age in one forward pass: their keys and values as rows, and a position for each row.

Rows end at the same column, so a decoder sees an ordinary left-padded batch. That alone suffices where positions are
relative (T5). Decoders that add an embedding for each absolute position (BART and its kin) count the columns of the
cache, padding included, and take no positions from outside; for these, hooks on the position embedding put in the
number of tokens that each row really has.
"""

import inspect
from enum import Enum, auto
from typing import Any

import torch
from transformers import DynamicCache, EncoderDecoderCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from hostler.engine.row_cache import RowCache


class DecoderPositions(Enum):
    """How a decoder knows where in its sequence a token stands."""

    RELATIVE = auto()
    """By the distance between tokens, which padding on the left does not change."""
    EMBEDDED = auto()
    """By an embedding of the absolute position, in a module whose input can be replaced."""
    UNKNOWN = auto()
    """Not known here: each sequence is decoded alone."""


RELATIVE_MODEL_TYPES = frozenset({"t5", "mt5", "umt5"})
EMBEDDED_MODEL_TYPES = frozenset(
    {"bart", "mbart", "plbart", "mvp", "marian", "pegasus", "blenderbot", "blenderbot-small", "m2m_100"}
)
"""As `model_type` in `config.json`. Only what the tests compare with `generate` stands in these two."""


def decoder_positions(model: PreTrainedModel) -> DecoderPositions:
    """Whether, and how, decoders of this model can share forward passes."""
    model_type = model.config.model_type
    if model_type in RELATIVE_MODEL_TYPES:
        return DecoderPositions.RELATIVE
    if model_type in EMBEDDED_MODEL_TYPES:
        embedding = getattr(model.get_decoder(), "embed_positions", None)
        # Code that comes with a model may use a known type's name for a decoder of its own.
        if embedding is not None and (_takes_positions(embedding) or _counts_tokens(embedding)):
            return DecoderPositions.EMBEDDED
    return DecoderPositions.UNKNOWN


def _takes_positions(embedding: torch.nn.Module) -> bool:
    return "position_ids" in inspect.signature(embedding.forward).parameters


def _counts_tokens(embedding: torch.nn.Module) -> bool:
    """M2M100 and NLLB look their positions up in a table, by the number of tokens that are not padding."""
    return hasattr(embedding, "create_position_ids_from_input_ids") and hasattr(embedding, "weights")


class RowPositions:
    """Replaces what a decoder's position embedding adds to its one new token per row, as long as `lengths` is set."""

    def __init__(self, embedding: torch.nn.Module) -> None:
        self.lengths: torch.Tensor | None = None
        """Tokens that precede the new one of each row, `[num_rows]` int64; `None` leaves the module alone."""
        if _takes_positions(embedding):
            embedding.register_forward_pre_hook(self._put_in, with_kwargs=True)
            embedding.register_forward_hook(self._reshape)
        else:
            embedding.register_forward_hook(self._look_up)

    def _put_in(
        self, _module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        return None if self.lengths is None else (args, {**kwargs, "position_ids": self.lengths})

    def _reshape(self, _module: torch.nn.Module, _args: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor | None:
        """One sequence of `num_rows` positions went in; `num_rows` sequences of one are wanted."""
        return None if self.lengths is None else output.reshape(self.lengths.shape[0], 1, -1)

    def _look_up(self, module: Any, args: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor | None:
        if self.lengths is None:
            return None
        # The call that this replaces has grown the table to the cache's length, so the longest row is in it.
        positions = module.create_position_ids_from_input_ids(args[0], module.padding_idx, self.lengths.unsqueeze(1))
        return module.weights[positions].to(output)


class DecoderRows:
    """Keys and values of the decoders that run together: of their own tokens, and of their encoders' outputs."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._own = RowCache()
        self._encoders = RowCache()
        is_embedded = decoder_positions(model) is DecoderPositions.EMBEDDED
        self._positions = RowPositions(model.get_decoder().embed_positions) if is_embedded else None

    def join(self, cache: EncoderDecoderCache, row: int, num_encoder_tokens: int) -> None:
        """Add one row of a batch that was computed from its first decoder token on, its input padded on the right."""
        own, encoders = cache.self_attention_cache.layers, cache.cross_attention_cache.layers
        self._own.join([(layer.keys[row : row + 1], layer.values[row : row + 1]) for layer in own])
        self._encoders.join(
            [
                (layer.keys[row : row + 1, :, :num_encoder_tokens], layer.values[row : row + 1, :, :num_encoder_tokens])
                for layer in encoders
            ]
        )

    def leave(self, row: int) -> None:
        """Remove a row; the last one takes its place."""
        self._own.leave(row)
        self._encoders.leave(row)

    @property
    def num_bytes(self) -> int:
        """Of all keys and values that are held, room to grow included."""
        layers = [*self._own.layers, *self._encoders.layers]
        return sum(int(tensor.nbytes) for layer in layers for tensor in (layer.keys, layer.values))

    def clear(self) -> None:
        """Remove every row, those too that a failed step has left half joined."""
        self._own, self._encoders = RowCache(), RowCache()

    def decode(self, token_ids: list[int]) -> torch.Tensor:
        """Logits after one more token for every row, `[num_rows, vocab_size]`."""
        device = self._model.device
        if self._positions is not None:
            self._positions.lengths = torch.tensor(self._own.row_lengths, device=device)
        try:
            result = self._model(
                encoder_outputs=(self._encoder_stand_in(),),
                attention_mask=self._encoders.attention_mask(0, device),
                decoder_input_ids=torch.tensor(token_ids, device=device).unsqueeze(1),
                decoder_attention_mask=self._own.attention_mask(1, device),
                past_key_values=EncoderDecoderCache(self._own, self._encoder_views()),
                use_cache=True,
            )
        finally:
            if self._positions is not None:
                self._positions.lengths = None
        self._own.grew(1)
        logits: torch.Tensor = result.logits
        return logits[:, -1]

    def _encoder_stand_in(self) -> torch.Tensor:
        """In the place of the encoders' outputs: models look at its shape, its numbers are in the cache already."""
        shape = (len(self._encoders.row_lengths), self._encoders.get_seq_length(), 1)
        return torch.zeros((1, 1, 1), dtype=self._model.dtype, device=self._model.device).expand(shape)

    def _encoder_views(self) -> DynamicCache:
        """Cross-attention takes `keys` and `values` as they are, so these must not have room to grow."""
        views = DynamicCache()
        num_rows, length = len(self._encoders.row_lengths), self._encoders.get_seq_length()
        for layer in self._encoders.layers:
            view = DynamicLayer()
            view.lazy_initialization(layer.keys, layer.values)
            view.keys, view.values = layer.keys[:num_rows, :, :length], layer.values[:num_rows, :, :length]
            views.layers.append(view)
        return views
