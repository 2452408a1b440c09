"""When the parts of one generation came."""

import time
from bisect import bisect_left
from collections.abc import Sequence

from hostler.types import TokenDelta

GAP_BUCKETS_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.5, 5.0)
"""Upper bounds, from a GPU's small step to a stall that a reader notices; what is longer comes after the last."""


class Timeline:
    """Moments are seconds of `time.perf_counter`. Begins when it is made."""

    def __init__(self) -> None:
        self.asked_at = time.perf_counter()
        self.leased_at: float | None = None
        """When it got its model; `None` before."""
        self.admitted_at: float | None = None
        """When its engine had accepted all of it."""
        self.first_at: float | None = None
        """When its first token came."""
        self.queue_waits_s: list[float] = []
        """Of each sequence that has begun, or of a request to read texts: how long it waited in its engine to begin."""
        self.last_at = self.asked_at
        """When anything of it came last."""
        self.gap_counts = [0] * (len(GAP_BUCKETS_S) + 1)
        """How many waits from one token of a sequence to its next fell into each bucket."""
        self.gap_seconds = 0.0
        """All of these together."""
        self._num_later_tokens = 0
        self._last_of: dict[tuple[int, int], float] = {}

    def note_lease(self) -> None:
        self.leased_at = time.perf_counter()

    def note_admission(self) -> None:
        self.admitted_at = time.perf_counter()

    def note(self, prompt_index: int, deltas: Sequence[TokenDelta]) -> None:
        """Deltas of one prompt's sequences that have come at once."""
        self.last_at = time.perf_counter()
        num_tokens_of: dict[int, int] = {}
        for delta in deltas:
            num_tokens_of[delta.index] = num_tokens_of.get(delta.index, 0) + len(delta.token_ids)
            if delta.queued_s is not None:
                self.queue_waits_s.append(delta.queued_s)
        for index, num_tokens in num_tokens_of.items():
            if num_tokens:
                self._note_tokens((prompt_index, index), num_tokens, self.last_at)

    def _note_tokens(self, sequence: tuple[int, int], num_tokens: int, now: float) -> None:
        if self.first_at is None:
            self.first_at = now
        else:
            self._num_later_tokens += num_tokens
        if (before := self._last_of.get(sequence)) is not None:
            # Steps that were joined on the way took the same time each, as far as anybody can tell.
            self.gap_counts[bisect_left(GAP_BUCKETS_S, (now - before) / num_tokens)] += num_tokens
            self.gap_seconds += now - before
        self._last_of[sequence] = now

    def note_end(self, queued_s: float | None) -> None:
        """Of what is answered at once, without tokens of its own, and waited in its engine for so long."""
        self.last_at = time.perf_counter()
        if queued_s is not None:
            self.queue_waits_s.append(queued_s)

    @property
    def wait_s(self) -> float | None:
        """For the model; `None`: it did not get one."""
        return None if self.leased_at is None else self.leased_at - self.asked_at

    @property
    def queue_s(self) -> float | None:
        """In its engine, of the sequence that waited longest; `None`: none has begun, or nobody knows."""
        return max(self.queue_waits_s, default=None)

    @property
    def begun_at(self) -> float | None:
        """When the first of its sequences had its first step; `None`: none had, or nobody knows."""
        if self.admitted_at is None or self.first_at is None or not self.queue_waits_s:
            return None
        # Two processes had looked at their clocks.
        return min(self.admitted_at + min(self.queue_waits_s), self.first_at)

    @property
    def ttft_s(self) -> float | None:
        """From the request to its first token, the wait for the model included; `None`: there was none."""
        return None if self.first_at is None else self.first_at - self.asked_at

    @property
    def tokens_per_second(self) -> float | None:
        """Of those after the first piece; `None` where there are none."""
        seconds = 0.0 if self.first_at is None else self.last_at - self.first_at
        return self._num_later_tokens / seconds if self._num_later_tokens and seconds > 0 else None
