"""Computes beam searches: the beams of one are a batch of their own, all of the same length, in a cache of their own.

Equal length means no padding, so this is right for every architecture that `generate` can search with. The prompt is
computed with one row, which becomes as many rows as there are beams once they differ.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import torch

from hostler.engine.beams.scorer import BeamScorer
from hostler.engine.beams.search import BeamSearch
from hostler.engine.request import Request
from hostler.engine.runner import NumericalFailure, Outcome
from hostler.engine.sampling.generation_rules import GenerationRules
from hostler.engine.scheduler import SchedulerOutput


class BeamCache(Protocol):
    """Keys, values and other state of the rows of one search."""

    def forward(self, token_ids: list[list[int]], start: int) -> torch.Tensor:
        """Compute more tokens of every row, the first of which is token `start`; the last ones' logits.

        `[num_rows, vocab_size]`, in the model's dtype.
        """
        ...

    def select(self, rows: list[int]) -> None:
        """Keep these rows in this order; one may be taken several times."""
        ...


class BeamModel(Protocol):
    """A model that beams can be computed with."""

    computes_chunks: bool
    """A prompt may be computed in pieces; otherwise all of it in one forward pass."""

    def new_cache(self, request: Request) -> BeamCache: ...


@dataclass
class _Rows:
    """What has been computed of one search."""

    cache: BeamCache
    num_rows: int = 1
    is_a_step_behind: bool = False
    """Its rows are those beams which the running ones came from."""

    def select(self, rows: list[int]) -> None:
        # Beams often keep their places, and to reorder is to copy everything.
        if rows != list(range(self.num_rows)):
            self.cache.select(rows)
            self.num_rows = len(rows)


class BeamRunner:
    """The part of a `ModelRunner` that is for beam searches; it leaves other sequences alone."""

    def __init__(self, model: BeamModel, rules: GenerationRules) -> None:
        self._model = model
        self._rules = rules
        self._rows: dict[Request, _Rows] = {}
        self._scorers: dict[Request, BeamScorer] = {}

    def execute(self, output: SchedulerOutput) -> dict[Request, Outcome]:
        """Compute the searches among what is scheduled."""
        self._drop(output.preempted)
        outcomes: dict[Request, Outcome] = {}
        for request, num_tokens in output.num_scheduled_tokens.items():
            if request.search is None:
                continue
            is_up_to_date = num_tokens == request.num_new_tokens
            if not (is_up_to_date or self._model.computes_chunks):
                continue
            logits = self._compute(request, request.search, num_tokens)
            if is_up_to_date:
                outcomes[request] = self._continuations(request, request.search, logits)
        return outcomes

    def free(self, requests: Iterable[Request]) -> None:
        """Drop all that is kept for these; others are ignored."""
        gone = list(requests)
        self._drop(gone)
        for request in gone:
            self._scorers.pop(request, None)

    def _drop(self, requests: Iterable[Request]) -> None:
        for request in requests:
            self._rows.pop(request, None)

    def _compute(self, request: Request, search: BeamSearch, num_tokens: int) -> torch.Tensor:
        """Logits after the next tokens of each row."""
        start, stop = request.num_computed_tokens, request.num_computed_tokens + num_tokens
        num_prompt = len(request.prompt_token_ids)
        rows = self._rows.get(request)
        if rows is None:
            # Nothing was computed yet, though it may count as computed: chunks that the model cannot take were left.
            start = 0
            num_rows = 1 if stop <= num_prompt else len(search.running)
            rows = self._rows[request] = _Rows(self._model.new_cache(request), num_rows)
        elif rows.is_a_step_behind:
            rows.select(search.parents)
            rows.is_a_step_behind = False
        elif start == num_prompt:
            rows.select([0] * len(search.running))
        if stop <= num_prompt:
            return rows.cache.forward([request.prompt_token_ids[start:stop]], start)
        shared = request.prompt_token_ids[start:]
        own = slice(max(0, start - num_prompt), stop - num_prompt)
        return rows.cache.forward([shared + beam.token_ids[own] for beam in search.running], start)

    def _continuations(self, request: Request, search: BeamSearch, logits: torch.Tensor) -> Outcome:
        if request not in self._scorers:
            self._scorers[request] = BeamScorer(request, search, self._rules)
        self._rows[request].is_a_step_behind = True
        return self._scorers[request].candidates(logits) or NumericalFailure()


def without_searches(output: SchedulerOutput) -> SchedulerOutput:
    """What is left of a step's work for others than `BeamRunner`."""
    scheduled = {request: num for request, num in output.num_scheduled_tokens.items() if request.search is None}
    return SchedulerOutput(num_scheduled_tokens=scheduled, preempted=output.preempted)
