"""From the logits of one request's beams to the likeliest continuations, by the rules of the model and the request."""

import torch
from transformers import LogitsProcessor, RepetitionPenaltyLogitsProcessor

from hostler.engine.beam_search import BeamSearch, Candidate
from hostler.engine.generation_rules import GenerationRules
from hostler.engine.request import Request


class BeamScorer:
    """How one request weighs its continuations. As in `generate`, everything acts on log-probabilities."""

    def __init__(self, request: Request, search: BeamSearch, rules: GenerationRules) -> None:
        self._request = request
        self._search = search
        self._device = rules.device
        self._processors: list[LogitsProcessor] = []
        if request.params.repetition_penalty != 1.0:
            self._processors.append(RepetitionPenaltyLogitsProcessor(request.params.repetition_penalty))
        self._processors += rules.processors(request)

    def candidates(self, logits: torch.Tensor) -> list[Candidate]:
        """The best of all continuations, best first.

        `logits`: `[num_beams, vocab_size]`, any float dtype, the row order of the running beams. Empty when the logits
        are not numbers or every token is forbidden.
        """
        scores = torch.log_softmax(logits.float(), dim=-1)
        self._adjust(scores)
        context = torch.tensor(self._context(), device=self._device)
        for processor in self._processors:
            scores = processor(context, scores)
        running = torch.tensor([beam.score for beam in self._search.running], device=self._device)
        totals = (scores + running.unsqueeze(1)).flatten()
        if torch.isnan(totals).any():
            return []
        best = totals.topk(min(self._search.num_candidates, len(totals)))
        vocab_size = scores.shape[-1]
        return [
            Candidate(index // vocab_size, index % vocab_size, score)
            for index, score in zip(best.indices.tolist(), best.values.tolist(), strict=True)
            if score > -torch.inf
        ]

    def _context(self) -> list[list[int]]:
        if not self._processors:
            return []
        return [self._request.prompt_token_ids + beam.token_ids for beam in self._search.running]

    def _adjust(self, scores: torch.Tensor) -> None:
        """OpenAI's bias and penalties, and the ban on ending early. In place."""
        params = self._request.params
        for token_id, bias in params.logit_bias.items():
            if token_id < scores.shape[-1]:
                scores[:, token_id] += bias
        if params.presence_penalty or params.frequency_penalty:
            for row, beam in enumerate(self._search.running):
                ids, counts = torch.tensor(beam.token_ids, dtype=torch.long, device=self._device).unique(
                    return_counts=True
                )
                scores[row, ids] -= params.presence_penalty + params.frequency_penalty * counts
        num_tokens = len(self._search.running[0].token_ids)
        if num_tokens < params.min_tokens and self._request.stop_token_ids:
            scores[:, sorted(self._request.stop_token_ids)] = -torch.inf
