"""What is one sequence's own in the choice of its tokens: its random numbers, penalties, biases and rules."""

import hashlib
import secrets

import torch
from transformers import (
    LogitsProcessor,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from hostler.engine.request import Request
from hostler.engine.sampling.generation_rules import GenerationRules
from hostler.types import SamplingParams

LEAST_TEMPERATURE = 1e-5
"""Below it, logits that are divided by it leave the range of float32; the draw would be the likeliest token anyway."""


class SequenceSampler:
    """How one sequence chooses its tokens."""

    def __init__(self, request: Request, device: torch.device, rules: GenerationRules | None = None) -> None:
        self.params = request.params
        self.matcher = request.matcher
        """Where it is in its grammar; `None`: it follows none."""
        self._request = request
        self._device = device
        self._rules = rules.processors(request) if rules is not None else []
        self._bias = _bias_tensors(request.params, device)
        self.is_greedy = request.params.temperature < LEAST_TEMPERATURE
        self.changes_logits = self._has_rules()
        """Whether `adjust` would do anything."""
        # On the CPU wherever the model is: a seed gives the same numbers on every device.
        self._generator = torch.Generator()
        self._generator.manual_seed(_stream_seed(request.params.seed, request.index))

    def settles_for(self, likeliest: int) -> bool:
        """Whether the token that the model finds likeliest is this sequence's choice as it is.

        What a grammar forbids makes the others no likelier, so that a greedy sequence need not know what that is.
        """
        if not self.is_greedy or self.changes_logits:
            return False
        return self.matcher is None or self.matcher.allows(likeliest)

    def uniform(self) -> float:
        """The next random number of this sequence, in [0, 1)."""
        return float(torch.rand((), generator=self._generator, dtype=torch.float64))

    def adjust(self, logits: torch.Tensor) -> None:
        """Penalties, bias, the ban on ending early, then the model's own rules, as in `generate`. In place.

        `logits`: one row, `[1, vocab_size]` float32.
        """
        output_ids = self._request.output_token_ids
        if output_ids and (self.params.presence_penalty or self.params.frequency_penalty):
            ids, counts = torch.tensor(output_ids, device=self._device).unique(return_counts=True)
            logits[0, ids] -= self.params.presence_penalty + self.params.frequency_penalty * counts
        if self._bias is not None:
            ids, bias = self._bias
            known = ids < logits.shape[-1]
            logits[0, ids[known]] += bias[known]
        if len(output_ids) < self.params.min_tokens and self._request.stop_token_ids:
            # A model may have an end token, and a caller may name one, that its output has no place for.
            logits[0, [end_id for end_id in self._request.stop_token_ids if end_id < logits.shape[-1]]] = -torch.inf
        if self.params.repetition_penalty == 1.0 and not self._rules:
            return
        # The prompt is among the tokens that processors look at.
        token_ids = self._request.prompt_token_ids + output_ids
        context = torch.tensor([token_ids], dtype=torch.long, device=self._device)
        if self.params.repetition_penalty != 1.0:
            self._penalise_repetition(logits, context)
        # Not LogitsProcessorList: it inspects the signature of each of its members at each call.
        for rule in self._rules:
            logits.copy_(rule(context, logits))

    def _penalise_repetition(self, logits: torch.Tensor, context: torch.Tensor) -> None:
        """As transformers' processor does it, without a copy of the row."""
        ids = context[context < logits.shape[-1]]
        scores = logits[0, ids]
        penalty = self.params.repetition_penalty
        logits[0, ids] = torch.where(scores < 0, scores * penalty, scores / penalty)

    def _has_rules(self) -> bool:
        params = self.params
        return bool(
            params.repetition_penalty != 1.0
            or params.presence_penalty
            or params.frequency_penalty
            or params.logit_bias
            or params.min_tokens
            or self._rules
        )


def warpers(params: SamplingParams) -> list[LogitsProcessor]:
    """transformers' own for temperature and truncation, in the order in which `generate` applies them."""
    chosen: list[LogitsProcessor] = []
    if params.temperature != 1.0:
        chosen.append(TemperatureLogitsWarper(float(params.temperature)))
    if params.top_k > 0:
        chosen.append(TopKLogitsWarper(params.top_k))
    if params.top_p < 1.0:
        # A nucleus of nothing is still its likeliest token: the warper keeps one, but refuses a bound of exactly 0.
        chosen.append(TopPLogitsWarper(max(float(params.top_p), 1e-6)))
    if params.min_p > 0.0:
        chosen.append(MinPLogitsWarper(float(params.min_p)))
    if params.typical_p < 1.0:
        chosen.append(TypicalLogitsWarper(float(params.typical_p)))
    return chosen


def _bias_tensors(params: SamplingParams, device: torch.device) -> tuple[torch.Tensor, torch.Tensor] | None:
    if not params.logit_bias:
        return None
    ids = torch.tensor(list(params.logit_bias), dtype=torch.long, device=device)
    return ids, torch.tensor(list(params.logit_bias.values()), dtype=torch.float32, device=device)


def _stream_seed(seed: int | None, index: int) -> int:
    """A seed for sequence `index`: hashed, so that request 7's second sequence is not request 8's first."""
    if seed is None:
        return secrets.randbits(63)
    digest = hashlib.blake2b(f"{seed}/{index}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
