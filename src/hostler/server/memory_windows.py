"""Counts of the last minute in this process's memory.

To take from one and look at it costs 11 µs with the library `limits` and 2 with this, and a request does it up to nine
times. What comes out is the same, which a test shows with both; for a Redis the library it is.
"""

import time
from dataclasses import dataclass

Standing = tuple[int, float, int, float]
"""Of a caller: the count of the last window and for how many seconds it still counts; of this one, and for how many it
will."""


@dataclass(slots=True)
class _Counts:
    """Of one caller, in windows of one length; they begin at whole multiples of it."""

    number: int
    """Of the window that `current` is of."""
    current: int = 0
    previous: int = 0

    def is_of_use(self, window_s: int, now: float) -> bool:
        """Whether anything of it still counts."""
        return self.number >= now // window_s - 1


class MemoryWindows:
    """A sliding window of two numbers: the count of this window, and that of the one before, weighted by what is left
    of it."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, int], _Counts] = {}
        """By caller and length of its windows."""
        self._swept_at = 0.0
        """When what counts no more was last thrown away."""

    def __len__(self) -> int:
        """How many callers are remembered."""
        return len(self._counts)

    def take(self, key: str, limit: int, window_s: int, amount: int = 1) -> tuple[bool, Standing]:
        """Count so much, unless that is more than the limit leaves; whether it was counted, and how it stands then."""
        counts, passed = self._at_now(key, window_s)
        is_taken = int(counts.previous * (1 - passed) + counts.current) + amount <= limit
        if is_taken:
            counts.current += amount
        left_s = (1 - passed) * window_s
        return is_taken, (counts.previous, left_s if counts.previous else 0.0, counts.current, left_s + window_s)

    def _at_now(self, key: str, window_s: int) -> tuple[_Counts, float]:
        """The counts, and the part of this window that has passed."""
        now = time.time()
        if abs(now - self._swept_at) >= window_s:  # the clock may have been set back
            self._swept_at = now
            self._counts = {each: counts for each, counts in self._counts.items() if counts.is_of_use(each[1], now)}
        window, passed_s = divmod(now, window_s)
        number = int(window)
        counts = self._counts.get((key, window_s))
        if counts is None:
            counts = self._counts[key, window_s] = _Counts(number)
        elif counts.number != number:
            counts.previous = counts.current if counts.number == number - 1 else 0
            counts.current, counts.number = 0, number
        return counts, passed_s / window_s
