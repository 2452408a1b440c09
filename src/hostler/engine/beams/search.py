"""Beam search: which continuations of a prompt are followed, and which ended ones are the answers. No tensors.

The rules are those of transformers' `generate` with `num_beams`: a step offers the likeliest continuations of all
beams together; those of the best that end become answers, the best that go on become the beams of the next step.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hostler.types import EarlyStopping, FinishReason


class Candidate(NamedTuple):
    """One beam and one token after it."""

    parent: int
    """Which of the running beams."""
    token_id: int
    score: float
    """Sum of the log-probabilities of all new tokens, this one included; finite."""


@dataclass(frozen=True)
class Beam:
    """A continuation that is being followed."""

    token_ids: list[int]
    """New tokens; the prompt is not among them."""
    score: float


@dataclass(frozen=True)
class Hypothesis:
    """A continuation that has ended."""

    token_ids: list[int]
    score: float
    """The beam's, over a power of its length."""
    finish_reason: FinishReason


class BeamSearch:
    """The search of one request. It begins with one beam, the prompt itself."""

    def __init__(
        self,
        *,
        num_beams: int,
        length_penalty: float,
        early_stopping: EarlyStopping,
        max_tokens: int,
        num_end_tokens: int,
    ) -> None:
        """`num_end_tokens`: how many token ids end a hypothesis."""
        self.num_beams = num_beams
        self.num_candidates = max(2, 1 + num_end_tokens) * num_beams
        """How many to offer to `advance`: enough that `num_beams` of them go on, if all others end."""
        self.running = [Beam([], 0.0)]
        """Best first. Fewer than `num_beams` where so few continuations are possible."""
        self.parents = [0]
        """From which beam of the step before each running one came."""
        self._length_penalty = length_penalty
        self._early_stopping = early_stopping
        self._max_tokens = max_tokens
        self._ended: list[Hypothesis] = []
        """The best that have ended, best first, `num_beams` at most."""

    def advance(self, candidates: Sequence[Candidate], ends: Sequence[FinishReason | None]) -> bool:
        """Take in a step's candidates, best first, and why each of them ends, if it does.

        Returns whether the search is over.
        """
        # Those beyond the best `num_beams` are there to go on in the place of others; as answers they came too late.
        for candidate, reason in list(zip(candidates, ends, strict=True))[: self.num_beams]:
            if reason is not None:
                self._ended.append(self._hypothesis(candidate, reason))
        self._ended.sort(key=lambda hypothesis: -hypothesis.score)
        del self._ended[self.num_beams :]
        going_on = [candidate for candidate, reason in zip(candidates, ends, strict=True) if reason is None]
        going_on = going_on[: self.num_beams]
        previous = self.running
        self.running = [Beam([*previous[c.parent].token_ids, c.token_id], c.score) for c in going_on]
        self.parents = [candidate.parent for candidate in going_on]
        return self._is_over()

    def best(self, n: int) -> list[Hypothesis]:
        """The answers, best first. Where fewer than `n` were possible, the best one stands for those that lack too."""
        return [*self._ended, *self._ended[:1] * n][:n]

    def _hypothesis(self, candidate: Candidate, reason: FinishReason) -> Hypothesis:
        token_ids = [*self.running[candidate.parent].token_ids, candidate.token_id]
        return Hypothesis(token_ids, candidate.score / math.pow(len(token_ids), self._length_penalty), reason)

    def _is_over(self) -> bool:
        if not self.running:
            return True
        if len(self._ended) < self.num_beams:
            return False
        return self._early_stopping is True or not self._can_improve()

    def _can_improve(self) -> bool:
        """Whether the best beam may yet beat the worst answer: a guess where a longer one may score higher."""
        length = len(self.running[0].token_ids)
        if self._early_stopping == "never" and self._length_penalty > 0:
            length = self._max_tokens
        return self.running[0].score / math.pow(length, self._length_penalty) > self._ended[-1].score
