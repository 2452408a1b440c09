"""How beams are computed with a decoder-only and with an encoder–decoder model."""

import torch
from transformers import DynamicCache, EncoderDecoderCache, PreTrainedModel

from hostler.engine.beams.runner import BeamCache
from hostler.engine.causal.capabilities import Capabilities
from hostler.engine.request import Request


class CausalBeams:
    """Implements `BeamModel` over a causal model."""

    def __init__(self, model: PreTrainedModel, capabilities: Capabilities) -> None:
        self._model = model
        self._capabilities = capabilities
        self.computes_chunks = capabilities.computes_chunks

    def new_cache(self, request: Request) -> BeamCache:  # noqa: ARG002
        return _CausalCache(self._model, self._capabilities)


class _CausalCache:
    def __init__(self, model: PreTrainedModel, capabilities: Capabilities) -> None:
        self._model = model
        self._capabilities = capabilities
        self._cache = capabilities.new_cache(model)

    def forward(self, token_ids: list[list[int]], start: int) -> torch.Tensor:
        device = self._model.device
        input_ids = torch.tensor(token_ids, device=device)
        num_rows, stop = len(token_ids), start + input_ids.shape[1]
        mask = torch.ones((num_rows, stop), dtype=torch.long, device=device)
        positions = torch.arange(start, stop, device=device).expand(num_rows, -1)
        return self._capabilities.forward(self._model, input_ids, mask, positions, self._cache)[:, -1]

    def select(self, rows: list[int]) -> None:
        self._cache.reorder_cache(torch.tensor(rows, device=self._model.device))


class Seq2SeqBeams:
    """Implements `BeamModel` over an encoder–decoder model. The input is encoded once, for all beams."""

    computes_chunks = True

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model

    def new_cache(self, request: Request) -> BeamCache:
        return _Seq2SeqCache(self._model, request.encoder_token_ids or [])


class _Seq2SeqCache:
    def __init__(self, model: PreTrainedModel, encoder_token_ids: list[int]) -> None:
        self._model = model
        self._own = DynamicCache()
        self._encoder = DynamicCache()
        self._cache = EncoderDecoderCache(self._own, self._encoder)
        input_ids = torch.tensor([encoder_token_ids], device=model.device)
        self._mask = torch.ones_like(input_ids)
        self._encoded = model.get_encoder()(input_ids=input_ids, attention_mask=self._mask, return_dict=True)
        self._num_rows = 1

    def forward(self, token_ids: list[list[int]], start: int) -> torch.Tensor:  # noqa: ARG002
        num_rows = len(token_ids)
        # Put back into the encoder's own kind of output, since Switch Transformers asks for more of it.
        self._encoded.last_hidden_state = self._encoded.last_hidden_state[:1].expand(num_rows, -1, -1)
        result = self._model(
            encoder_outputs=self._encoded,
            attention_mask=self._mask.expand(num_rows, -1),
            decoder_input_ids=torch.tensor(token_ids, device=self._model.device),
            past_key_values=self._cache,
            use_cache=True,
        )
        logits: torch.Tensor = result.logits
        return logits[:, -1]

    def select(self, rows: list[int]) -> None:
        order = torch.tensor(rows, device=self._model.device)
        self._own.reorder_cache(order)
        if len(rows) != self._num_rows:
            # All rows have the same input, so that their order does not matter here.
            self._encoder.reorder_cache(torch.zeros_like(order))
            self._num_rows = len(rows)
