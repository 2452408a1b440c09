"""Encoder–decoder models: inputs that arrive together are encoded together, decoders of any age step together.

A sequence's first forward pass encodes its input and computes its first decoder token; then it becomes a row of those
that decode. Where it is not known how a decoder counts positions, each sequence is computed alone.
"""

from collections.abc import Iterable, Mapping

import torch
from transformers import DynamicCache, EncoderDecoderCache, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from hostler.engine.beams.models import Seq2SeqBeams
from hostler.engine.beams.runner import BeamRunner, without_searches
from hostler.engine.request import Request
from hostler.engine.runner import Outcome
from hostler.engine.sampling.generation_rules import GenerationRules
from hostler.engine.sampling.sampler import Sampler
from hostler.engine.scheduler import SchedulerOutput
from hostler.engine.seq2seq.decoder_rows import DecoderPositions, DecoderRows, decoder_positions

SHORT_INPUT_TOKENS = 32
"""Inputs up to this length are encoded together; above it, at most the double of the shortest one is padded to."""


class Seq2SeqRunner:
    """Implements `ModelRunner` over a transformers encoder–decoder model in eval mode."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._device: torch.device = model.device
        rules = GenerationRules(model.generation_config, self._device)
        self._sampler = Sampler(self._device, rules)
        self._beams = BeamRunner(Seq2SeqBeams(model), rules)
        self._can_batch = decoder_positions(model) is not DecoderPositions.UNKNOWN
        self._pad_token_id: int = model.config.pad_token_id or 0
        self._rows: list[Request] = []
        self._decoder_rows = DecoderRows(model)
        self._encoded: dict[Request, BaseModelOutput] = {}
        self._own_caches: dict[Request, EncoderDecoderCache] = {}

    @torch.inference_mode()
    def execute(self, output: SchedulerOutput) -> dict[Request, Outcome]:
        self._drop(output.preempted)
        scheduled = without_searches(output).num_scheduled_tokens
        in_rows = set(self._rows)
        sampled = self._beams.execute(output)
        if self._rows:
            # The scheduler gives every running sequence its token before it starts others.
            assert in_rows <= scheduled.keys()
            sampled |= self._sampler.sample(self._decode_rows(), self._rows)
        others = [request for request in scheduled if request not in in_rows]
        whole = [request for request in others if self._is_whole(request, scheduled[request])]
        for group in arrival_groups(whole):
            sampled |= self._start(group)
        for request in others:
            if request not in sampled:
                sampled |= self._compute_alone(request, scheduled[request])
        return sampled

    @torch.inference_mode()
    def free(self, requests: Iterable[Request]) -> None:
        gone = list(requests)
        self._drop(gone)
        self._beams.free(gone)
        for request in gone:
            self._sampler.free(request)

    def _drop(self, requests: Iterable[Request]) -> None:
        for request in requests:
            self._encoded.pop(request, None)
            self._own_caches.pop(request, None)
            if request in self._rows:
                row = self._rows.index(request)
                self._decoder_rows.leave(row)
                self._rows[row] = self._rows[-1]
                self._rows.pop()
        if not self._rows:
            # After a step that failed, all that took part are dropped, but not all of them have become rows.
            self._decoder_rows.clear()

    def _is_whole(self, request: Request, num_tokens: int) -> bool:
        """Whether a sequence can go from nothing to its first row in this step."""
        return self._can_batch and request.num_computed_tokens == 0 and num_tokens == request.num_new_tokens

    def _decode_rows(self) -> torch.Tensor:
        """One token for every row; `[num_rows, vocab_size]`."""
        last = [request.token_ids(request.num_computed_tokens, request.num_tokens)[0] for request in self._rows]
        return self._decoder_rows.decode(last)

    def _start(self, group: list[Request]) -> Mapping[Request, Outcome]:
        """Encode and compute all known decoder tokens of sequences that have the same number of them."""
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        mask = self._encoder_mask(group)
        tokens = [request.token_ids(0, request.num_tokens) for request in group]
        logits = self._forward(self._encode(group, mask), mask, tokens, cache)
        for row, request in enumerate(group):
            self._decoder_rows.join(cache, row, request.num_encoder_tokens)
            self._rows.append(request)
        return self._sampler.sample(logits, group)

    def _compute_alone(self, request: Request, num_tokens: int) -> Mapping[Request, Outcome]:
        """The next tokens of one sequence in its own cache; a sampled token when that brings it up to date."""
        start = request.num_computed_tokens
        mask = self._encoder_mask([request])
        if request not in self._own_caches:
            self._own_caches[request] = EncoderDecoderCache(DynamicCache(), DynamicCache())
            self._encoded[request] = self._encode([request], mask)
        cache, tokens = self._own_caches[request], [request.token_ids(start, start + num_tokens)]
        logits = self._forward(self._encoded[request], mask, tokens, cache)
        if num_tokens < request.num_new_tokens:
            return {}
        if self._can_batch:
            self._decoder_rows.join(cache, 0, request.num_encoder_tokens)
            self._rows.append(request)
            del self._own_caches[request], self._encoded[request]
        return self._sampler.sample(logits, [request])

    def _forward(
        self, encoded: BaseModelOutput, mask: torch.Tensor, token_ids: list[list[int]], cache: EncoderDecoderCache
    ) -> torch.Tensor:
        """Logits after the last decoder token of each row, `[num_rows, vocab_size]`."""
        result = self._model(
            encoder_outputs=encoded,
            attention_mask=mask,
            decoder_input_ids=torch.tensor(token_ids, device=self._device),
            past_key_values=cache,
            use_cache=True,
        )
        logits: torch.Tensor = result.logits
        return logits[:, -1]

    def _encode(self, group: list[Request], mask: torch.Tensor) -> BaseModelOutput:
        length = mask.shape[1]
        padded = [
            [*(request.encoder_token_ids or ()), *[self._pad_token_id] * (length - request.num_encoder_tokens)]
            for request in group
        ]
        ids = torch.tensor(padded, device=self._device)
        encoded: BaseModelOutput = self._model.get_encoder()(input_ids=ids, attention_mask=mask, return_dict=True)
        return encoded

    def _encoder_mask(self, group: list[Request]) -> torch.Tensor:
        """`[num_requests, longest input]` int64: 1 for tokens, then 0 for padding."""
        lengths = torch.tensor([request.num_encoder_tokens for request in group], device=self._device)
        columns = torch.arange(int(lengths.max()), device=self._device)
        return (columns < lengths.unsqueeze(1)).long()


def arrival_groups(requests: Iterable[Request]) -> list[list[Request]]:
    """Sequences to be started in one forward pass: as many decoder tokens, and inputs of similar length.

    Padding thus costs no more than the work itself, however long the longest input of a step is.
    """
    groups: list[list[Request]] = []
    for request in sorted(requests, key=lambda candidate: (candidate.num_tokens, candidate.num_encoder_tokens)):
        first = groups[-1][0] if groups else None
        if (
            first is not None
            and request.num_tokens == first.num_tokens
            and request.num_encoder_tokens <= max(SHORT_INPUT_TOKENS, 2 * first.num_encoder_tokens)
        ):
            groups[-1].append(request)
        else:
            groups.append([request])
    return groups
