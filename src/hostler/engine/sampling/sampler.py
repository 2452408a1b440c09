"""From logits to token ids, each sequence by its own parameters and its own random numbers.

A parameter means here what it means in transformers. Two have no counterpart there and follow OpenAI's definition:
presence and frequency penalty, and `logit_bias`. What a sequence changes in its logits is done row by row
(`hostler.engine.sampling.row`), what grammars forbid, temperature, truncation and the draw for all rows together
(`hostler.engine.sampling.grammar_masks`, `hostler.engine.sampling.batch`).
"""

import torch

from hostler.engine.request import Request
from hostler.engine.runner import Failure, GrammarFailure, NumericalFailure
from hostler.engine.sampling.batch import argmax, draw
from hostler.engine.sampling.generation_rules import GenerationRules
from hostler.engine.sampling.grammar_masks import forbid
from hostler.engine.sampling.logprobs import score_output
from hostler.engine.sampling.row import SequenceSampler, warpers
from hostler.types import SamplingParams

_AS_IT_IS = SamplingParams()
"""Of a row that has been truncated already."""


class Sampler:
    """Draws one token for each row of logits. Keeps the state of each sequence until it is freed."""

    def __init__(self, device: torch.device, rules: GenerationRules | None = None) -> None:
        """`rules`: the model's own, for every sequence; `None` where it has none."""
        self._device = device
        self._rules = rules
        self._states: dict[Request, SequenceSampler] = {}

    def sample(self, logits: torch.Tensor, requests: list[Request]) -> dict[Request, int | Failure]:
        """`logits`: `[num_requests, vocab_size]`, any float dtype, the row order of `requests`.

        Requests that ask for logprobs get the score of their token added.
        """
        logits = logits.float()
        states = [self._state(request) for request in requests]
        tokens: list[int | None] = argmax(logits).tolist()
        # One NaN makes the sum NaN; an infinity alone is legitimate, processors use it to forbid tokens.
        is_broken = torch.isnan(logits.sum(dim=-1)).tolist()
        chosen_rows = [
            row
            for row, (state, token) in enumerate(zip(states, tokens, strict=True))
            if token is not None and not is_broken[row] and not state.settles_for(token)
        ]
        if chosen_rows:
            chosen = self._choose(logits[chosen_rows], [states[row] for row in chosen_rows])
            for row, token in zip(chosen_rows, chosen, strict=True):
                tokens[row] = token
        sampled: dict[Request, int | Failure] = {}
        to_score: list[tuple[int, Request, int]] = []
        for row, (request, token) in enumerate(zip(requests, tokens, strict=True)):
            if token is None or is_broken[row]:
                sampled[request] = NumericalFailure()
                continue
            if request.matcher is not None and (error := request.matcher.accept(token)) is not None:
                sampled[request] = GrammarFailure(error)
                continue
            sampled[request] = token
            if request.params.logprobs is not None:
                to_score.append((row, request, token))
        if to_score:
            score_output(logits, to_score)
        return sampled

    def free(self, request: Request) -> None:
        """Forget a sequence that has ended. One that is merely preempted keeps its random numbers."""
        self._states.pop(request, None)

    def _state(self, request: Request) -> SequenceSampler:
        state = self._states.get(request)
        if state is None:
            state = self._states[request] = SequenceSampler(request, self._device, self._rules)
        return state

    def _choose(self, logits: torch.Tensor, states: list[SequenceSampler]) -> list[int | None]:
        """Tokens of rows that are not simply the likeliest. `logits`: a copy, which is overwritten."""
        matchers = {row: state.matcher for row, state in enumerate(states) if state.matcher is not None}
        unbent = {row: logits[row].clone() for row in matchers if states[row].changes_logits}
        for row, state in enumerate(states):
            if state.changes_logits:
                state.adjust(logits[row : row + 1])
        if matchers:
            forbid(logits, matchers, unbent)
        params = [self._truncated(logits[row], state) for row, state in enumerate(states)]
        tokens: list[int | None] = argmax(logits).tolist()
        drawn = [row for row, state in enumerate(states) if not state.is_greedy]
        if drawn:
            uniforms = [states[row].uniform() for row in drawn]
            # Rows are gathered once more only where greedy ones are among them.
            own = logits if len(drawn) == len(states) else logits[drawn]
            for row, token in zip(drawn, draw(own, [params[row] for row in drawn], uniforms), strict=True):
                tokens[row] = token
        return tokens

    def _truncated(self, logits: torch.Tensor, state: SequenceSampler) -> SamplingParams:
        """What is left to do with a row. Done here, in place: what is typical, which has no order of likelihood that
        all rows could share."""
        if state.params.typical_p == 1.0 or state.is_greedy:
            return state.params
        scores = logits.unsqueeze(0)
        for warper in warpers(state.params):
            scores = warper(scores.new_empty(0, dtype=torch.long), scores)
        logits.copy_(scores[0])
        return _AS_IT_IS
