"""From the logits of one request's beams to the likeliest continuations, by the rules of the model and the request."""

import torch
from transformers import LogitsProcessor, RepetitionPenaltyLogitsProcessor

from hostler.engine.beams.search import BeamSearch, Candidate
from hostler.engine.request import Request
from hostler.engine.sampling.generation_rules import GenerationRules


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
        self._prompt = torch.tensor(request.prompt_token_ids, device=rules.device)
        bias = request.params.logit_bias
        self._biased_ids = torch.tensor(list(bias), dtype=torch.long, device=rules.device)
        self._biases = torch.tensor(list(bias.values()), dtype=torch.float32, device=rules.device)

    def candidates(self, logits: torch.Tensor) -> list[Candidate]:
        """The best of all continuations, best first.

        `logits`: `[num_beams, vocab_size]`, any float dtype, the row order of the running beams. Empty when the logits
        are not numbers or every token is forbidden.
        """
        scores = torch.log_softmax(logits.float(), dim=-1)
        self._adjust(scores)
        if self._processors:
            context = self._context()
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

    def _context(self) -> torch.Tensor:
        """All tokens of each beam, the prompt's too; `[num_beams, num_tokens]` int64."""
        new = [beam.token_ids for beam in self._search.running]
        new_ids = torch.tensor(new, dtype=torch.long, device=self._device)
        return torch.cat([self._prompt.expand(len(new), -1), new_ids], dim=1)

    def _adjust(self, scores: torch.Tensor) -> None:
        """OpenAI's bias and penalties, and the ban on ending early. In place."""
        params = self._request.params
        beams = self._search.running
        vocab_size = scores.shape[-1]
        if params.logit_bias:
            known = self._biased_ids < vocab_size
            scores[:, self._biased_ids[known]] += self._biases[known]
        if params.presence_penalty or params.frequency_penalty:
            for row, beam in enumerate(beams):
                new_ids = torch.tensor(beam.token_ids, dtype=torch.long, device=self._device)
                ids, counts = new_ids.unique(return_counts=True)
                scores[row, ids] -= params.presence_penalty + params.frequency_penalty * counts
        if len(beams[0].token_ids) < params.min_tokens:
            scores[:, [end_id for end_id in self._request.stop_token_ids if end_id < vocab_size]] = -torch.inf
