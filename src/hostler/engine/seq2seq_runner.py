"""The generic path for encoder–decoder models: each sequence with its own encoder output and its own cache.

Sequences share steps, not forward passes: decoders with learned absolute positions (BART and its kin) take one
position for a whole batch, so rows of different age cannot be put together without knowing the architecture.
"""

from collections.abc import Iterable

import torch
from transformers import DynamicCache, EncoderDecoderCache, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from hostler.engine.request import Request
from hostler.engine.runner import NumericalFailure
from hostler.engine.sampler import Sampler
from hostler.engine.scheduler import SchedulerOutput


class Seq2SeqRunner:
    """Implements `ModelRunner` over a transformers encoder–decoder model in eval mode."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._device: torch.device = model.device
        self._sampler = Sampler(self._device)
        self._encoded: dict[Request, BaseModelOutput] = {}
        self._caches: dict[Request, EncoderDecoderCache] = {}

    @torch.inference_mode()
    def execute(self, output: SchedulerOutput) -> dict[Request, int | NumericalFailure]:
        for request in output.preempted:
            self._caches.pop(request, None)
        sampled: dict[Request, int | NumericalFailure] = {}
        for request, num_tokens in output.num_scheduled_tokens.items():
            is_up_to_date = num_tokens == request.num_new_tokens
            logits = self._decode(request, num_tokens)
            if is_up_to_date:
                sampled |= self._sampler.sample(logits, [request])
        return sampled

    def free(self, requests: Iterable[Request]) -> None:
        for request in requests:
            self._encoded.pop(request, None)
            self._caches.pop(request, None)
            self._sampler.free(request)

    def _decode(self, request: Request, num_tokens: int) -> torch.Tensor:
        """Logits after the last of the next `num_tokens` decoder tokens, `[1, vocab_size]`."""
        start = request.num_computed_tokens
        cache = self._caches.get(request)
        if cache is None:
            cache = self._caches[request] = EncoderDecoderCache(DynamicCache(), DynamicCache())
        decoder_ids = torch.tensor([request.token_ids(start, start + num_tokens)], device=self._device)
        result = self._model(
            encoder_outputs=self._encode(request),
            attention_mask=self._encoder_mask(request),
            decoder_input_ids=decoder_ids,
            past_key_values=cache,
            use_cache=True,
        )
        logits: torch.Tensor = result.logits
        return logits[:, -1]

    def _encode(self, request: Request) -> BaseModelOutput:
        if request not in self._encoded:
            ids = torch.tensor([request.encoder_token_ids], device=self._device)
            mask = self._encoder_mask(request)
            self._encoded[request] = self._model.get_encoder()(input_ids=ids, attention_mask=mask, return_dict=True)
        return self._encoded[request]

    def _encoder_mask(self, request: Request) -> torch.Tensor:
        assert request.encoder_token_ids is not None
        return torch.ones((1, len(request.encoder_token_ids)), dtype=torch.long, device=self._device)
