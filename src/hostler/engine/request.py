"""One sequence being generated, as the scheduler sees it: no tensors."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from hostler.engine.beams.search import BeamSearch, Candidate
from hostler.engine.constraints.matcher import GrammarMatcher
from hostler.engine.text.answer_syntax import AnswerSyntax
from hostler.types import ANYBODY, Caller, FinishReason, SamplingParams


class RequestStatus(Enum):
    """Where a sequence is."""

    WAITING = auto()
    RUNNING = auto()
    PREEMPTED = auto()
    """Back in the queue: its cache went to others, its tokens will be computed again."""
    FINISHED = auto()


@dataclass(frozen=True)
class TokenScore:
    """How likely the model held a token to be."""

    token_id: int
    logprob: float | None
    """`None` for the first token of a prompt."""
    top: list[tuple[int, float]]
    """The likeliest tokens and their logprobs, likeliest first."""


@dataclass(eq=False)
class Request:
    """One sequence. A caller's request for `n` sequences becomes `n` of these, told apart by `index`.

    A beam search is one of these with all of its beams, so that they are scheduled, preempted and aborted as one.
    """

    request_id: int
    """The caller's; the same for all of its sequences."""
    index: int
    params: SamplingParams
    prompt_token_ids: list[int]
    """What precedes the first generated token: the prompt, or the decoder's start for encoder–decoder models."""
    max_tokens: int
    stop_token_ids: frozenset[int]
    """End-of-sequence tokens, unless they are to be ignored, and the caller's own."""
    priority: int = 0
    """Lower is served earlier, among those of its caller."""
    caller: Caller = ANYBODY
    arrival: int = 0
    """Counts up with each sequence that the scheduler takes in; breaks ties of priority. The scheduler sets it."""
    encoder_token_ids: list[int] | None = None
    """The encoder's input; `None` for causal models."""
    is_end_forced: bool = False
    """The model puts an end token at the last place whatever happens, so that there it does not mean an end."""
    output_token_ids: list[int] = field(default_factory=list)
    """The best beam's in a beam search; the others have as many."""
    search: BeamSearch | None = None
    """Set in a beam search alone."""
    matcher: GrammarMatcher | None = None
    """Where its text has to follow a grammar: how far it has come there."""
    answer_syntax: AnswerSyntax | None = None
    """`None`: its text is text and nothing else."""
    num_computed_tokens: int = 0
    """Tokens whose keys and values are in the cache."""
    num_cached_tokens: int = 0
    """Tokens of the prompt that were computed for another sequence, and not again for this one."""
    admitted_at: float = field(default_factory=time.perf_counter)
    queued_s: float | None = None
    """From then to its first step; `None` before it. One that is preempted keeps it."""
    status: RequestStatus = RequestStatus.WAITING
    finish_reason: FinishReason | None = None
    output_scores: list[TokenScore] = field(default_factory=list)
    """One for each output token, where the caller asked for logprobs."""
    prompt_scores: list[TokenScore] = field(default_factory=list)
    """The same for the prompt, as far as it has been computed. Kept when the sequence is preempted."""

    @property
    def turn(self) -> tuple[int, int]:
        """Sorts sequences of a caller by which is served first and makes way last. No two are equal."""
        return self.priority, self.arrival

    @property
    def num_tokens(self) -> int:
        """Tokens known so far, computed or not."""
        return len(self.prompt_token_ids) + len(self.output_token_ids)

    @property
    def num_encoder_tokens(self) -> int:
        """Tokens of the encoder's input, computed with the first decoder token; 0 for causal models."""
        return len(self.encoder_token_ids or ())

    @property
    def num_new_tokens(self) -> int:
        """Tokens that still have to be computed before the next one can be sampled."""
        return self.num_tokens - self.num_computed_tokens

    @property
    def num_rows(self) -> int:
        """Sequences that it may hold in the cache at the same time: its beams, or itself."""
        return 1 if self.search is None else self.search.num_beams

    @property
    def num_next_rows(self) -> int:
        """Rows that compute its next tokens; beams share their prompt's."""
        return self.num_rows if self.num_computed_tokens >= len(self.prompt_token_ids) else 1

    @property
    def num_next_tokens(self) -> int:
        """Of the new tokens those that one step may compute, per row."""
        num_prompt_tokens = len(self.prompt_token_ids) - self.num_computed_tokens
        if self.search is not None and num_prompt_tokens > 0:
            return num_prompt_tokens
        return self.num_new_tokens

    @property
    def needs_prompt_scores(self) -> bool:
        """Whether the next tokens of the prompt are to be scored. One sequence does it for its siblings."""
        asks = self.params.prompt_logprobs is not None and self.index == 0
        return asks and len(self.prompt_scores) < len(self.prompt_token_ids)

    @property
    def can_reuse_prefix(self) -> bool:
        """Whether it may begin with what was computed of another sequence."""
        return self.search is None and self.encoder_token_ids is None and not self.needs_prompt_scores

    def token_ids(self, start: int, stop: int) -> list[int]:
        """Known tokens `start` to `stop`, prompt and output taken as one list."""
        num_prompt = len(self.prompt_token_ids)
        if stop <= num_prompt:
            return self.prompt_token_ids[start:stop]
        if start >= num_prompt:
            return self.output_token_ids[start - num_prompt : stop - num_prompt]
        return self.prompt_token_ids[start:] + self.output_token_ids[: stop - num_prompt]

    def append(self, token_id: int) -> FinishReason | None:
        """Add a sampled token; says whether the sequence ends with it."""
        self.output_token_ids.append(token_id)
        return self._end_with(token_id, len(self.output_token_ids))

    def advance(self, search: BeamSearch, candidates: Sequence[Candidate], *, stopped: set[Candidate]) -> bool:
        """Take in the continuations of its beams, best first; says whether its search is over.

        `stopped`: those whose text a stop string has ended.
        """
        num_tokens = len(self.output_token_ids) + 1
        ends = [
            FinishReason.STOP if candidate in stopped else self._end_with(candidate.token_id, num_tokens)
            for candidate in candidates
        ]
        is_over = search.advance(candidates, ends)
        if not is_over:
            self.output_token_ids = search.running[0].token_ids
        return is_over

    def _end_with(self, token_id: int, num_tokens: int) -> FinishReason | None:
        """Why a sequence of so many new tokens ends with this one, if it does."""
        is_last = num_tokens >= self.max_tokens
        if is_last and self.is_end_forced:
            return FinishReason.LENGTH
        if token_id in self.stop_token_ids and num_tokens > self.params.min_tokens:
            return FinishReason.STOP
        if is_last:
            return FinishReason.LENGTH
        return None
