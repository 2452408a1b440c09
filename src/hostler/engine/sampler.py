"""From logits to token ids, each sequence by its own parameters and its own random numbers.

The distributions are transformers' own logits processors, applied row by row, so that a parameter means here what it
means there. Two have no counterpart there and follow OpenAI's definition: presence and frequency penalty, and
`logit_bias`.
"""

import hashlib
import secrets

import torch
from transformers import (
    LogitsProcessor,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from hostler.engine.generation_rules import GenerationRules
from hostler.engine.logprobs import score_output
from hostler.engine.request import Request
from hostler.engine.runner import NumericalFailure
from hostler.types import SamplingParams


class Sampler:
    """Draws one token for each row of logits. Keeps the state of each sequence until it is freed."""

    def __init__(self, device: torch.device, rules: GenerationRules | None = None) -> None:
        """`rules`: the model's own, for every sequence; `None` where it has none."""
        self._device = device
        self._rules = rules
        self._states: dict[Request, SequenceSampler] = {}

    def sample(self, logits: torch.Tensor, requests: list[Request]) -> dict[Request, int | NumericalFailure]:
        """`logits`: `[num_requests, vocab_size]`, any float dtype, the row order of `requests`.

        Requests that ask for logprobs get the score of their token added.
        """
        logits = logits.float()
        greedy = torch.argmax(logits, dim=-1).tolist()
        # One NaN makes the sum NaN; an infinity alone is legitimate, processors use it to forbid tokens.
        is_broken = torch.isnan(logits.sum(dim=-1)).tolist()
        sampled: dict[Request, int | NumericalFailure] = {}
        to_score: list[tuple[int, Request, int]] = []
        for row, request in enumerate(requests):
            if is_broken[row]:
                sampled[request] = NumericalFailure()
                continue
            state = self._states.get(request)
            if state is None:
                state = self._states[request] = SequenceSampler(request, self._device, self._rules)
            token_id = greedy[row] if state.is_plain_greedy else state.sample(logits[row : row + 1])
            sampled[request] = token_id
            if request.params.logprobs is not None:
                to_score.append((row, request, token_id))
        if to_score:
            score_output(logits, to_score)
        return sampled

    def free(self, request: Request) -> None:
        """Forget a sequence that has ended. One that is merely preempted keeps its random numbers."""
        self._states.pop(request, None)


class SequenceSampler:
    """How one sequence chooses its tokens."""

    def __init__(self, request: Request, device: torch.device, rules: GenerationRules | None = None) -> None:
        self._request = request
        self._device = device
        self._params = request.params
        self._rules = rules.processors(request) if rules is not None else []
        self._processors = _processors(request.params, self._rules)
        self._bias = _bias_tensors(request.params, device)
        self._is_greedy = request.params.temperature == 0
        self.is_plain_greedy = self._is_greedy and not self._changes_logits()
        """The likeliest token of the raw logits is the answer."""
        self._generator = torch.Generator(device=device)
        self._generator.manual_seed(_stream_seed(request.params.seed, request.index))

    def sample(self, logits: torch.Tensor) -> int:
        """Draw from one row, `[1, vocab_size]` float32; the row is not changed."""
        logits = self._adjust(logits.clone())
        context = torch.tensor([self._context()], dtype=torch.long, device=self._device)
        scores = logits
        # Not LogitsProcessorList: it inspects the signature of each of its members at each call.
        for processor in self._processors:
            scores = processor(context, scores)
        if self._is_greedy:
            return int(torch.argmax(scores, dim=-1))
        probabilities = torch.softmax(scores, dim=-1)
        return int(torch.multinomial(probabilities, num_samples=1, generator=self._generator))

    def _changes_logits(self) -> bool:
        params = self._params
        return bool(
            params.repetition_penalty != 1.0
            or params.presence_penalty
            or params.frequency_penalty
            or params.logit_bias
            or params.min_tokens
            or self._rules
        )

    def _context(self) -> list[int]:
        """The tokens that processors look at; as in `generate`, the prompt is among them."""
        if self._params.repetition_penalty == 1.0 and not self._rules:
            return []
        return self._request.prompt_token_ids + self._request.output_token_ids

    def _adjust(self, logits: torch.Tensor) -> torch.Tensor:
        """OpenAI's penalties and bias, and the ban on ending early. In place."""
        output_ids = self._request.output_token_ids
        if output_ids and (self._params.presence_penalty or self._params.frequency_penalty):
            ids, counts = torch.tensor(output_ids, device=self._device).unique(return_counts=True)
            logits[0, ids] -= self._params.presence_penalty + self._params.frequency_penalty * counts
        if self._bias is not None:
            ids, bias = self._bias
            known = ids < logits.shape[-1]
            logits[0, ids[known]] += bias[known]
        if len(output_ids) < self._params.min_tokens and self._request.stop_token_ids:
            logits[0, sorted(self._request.stop_token_ids)] = -torch.inf
        return logits


def _processors(params: SamplingParams, rules: list[LogitsProcessor]) -> list[LogitsProcessor]:
    """transformers' processors, the model's own among them, in the order in which `generate` applies them."""
    processors: list[LogitsProcessor] = []
    if params.repetition_penalty != 1.0:
        processors.append(RepetitionPenaltyLogitsProcessor(params.repetition_penalty))
    processors += rules
    if params.temperature == 0:
        return processors
    if params.temperature != 1.0:
        processors.append(TemperatureLogitsWarper(float(params.temperature)))
    if params.top_k > 0:
        processors.append(TopKLogitsWarper(params.top_k))
    if params.top_p < 1.0:
        # A nucleus of nothing is still its likeliest token: the warper keeps one, but refuses a bound of exactly 0.
        processors.append(TopPLogitsWarper(max(float(params.top_p), 1e-6)))
    if params.min_p > 0.0:
        processors.append(MinPLogitsWarper(float(params.min_p)))
    if params.typical_p < 1.0:
        processors.append(TypicalLogitsWarper(float(params.typical_p)))
    return processors


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
