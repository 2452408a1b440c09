"""How many requests are under way, and for whom."""

from collections import Counter
from collections.abc import Sequence

from hostler.errors import RateLimitError
from hostler.server.counted import Counted

RETRY_AFTER_S = 1.0
"""Nobody knows when a request ends; a second is about what a short one takes."""


class OpenRequests:
    """Counts of this gateway, whose models are its own as well. Belongs to one event loop."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._queued: Counter[str] = Counter()
        self.num_open = 0
        """Those that are counted for anybody."""
        self.num_queued = 0
        """Those of them without a token."""

    def enter(self, counted: Sequence[Counted]) -> "Ticket":
        """Count a request, for each of those that it counts for.

        Raises:
            RateLimitError: one of them has as many as it may.
        """
        for one in counted:
            for kind, counts, limit in (
                ("concurrent_requests", self._open, one.limits.concurrent_requests),
                ("queued_requests", self._queued, one.limits.queued_requests),
            ):
                if limit is not None and counts[one.id] >= limit:
                    state = "are under way" if counts is self._open else "wait for their first token"
                    raise RateLimitError(
                        f"{counts[one.id]} requests of {one.description} {state}, as many as may"
                        f" ({one.prefix}{kind}); wait for one",
                        retry_after_s=RETRY_AFTER_S,
                    )
        ids = [one.id for one in counted]
        self._open.update(ids)
        self._queued.update(ids)
        self.num_open += 1
        self.num_queued += 1
        return Ticket(self, ids)

    def leave_queue(self, ids: Sequence[str]) -> None:
        """For a `Ticket`."""
        _count_down(self._queued, ids)
        self.num_queued -= 1

    def leave(self, ids: Sequence[str]) -> None:
        """The same."""
        _count_down(self._open, ids)
        self.num_open -= 1


class Ticket:
    """One request's part in the counts."""

    def __init__(self, requests: OpenRequests, ids: Sequence[str]) -> None:
        self._requests = requests
        self._ids = ids
        self._is_queued = True
        self._is_open = True

    def begin(self) -> None:
        """It waits no longer. Harmless more than once."""
        if self._is_queued:
            self._is_queued = False
            self._requests.leave_queue(self._ids)

    def leave(self) -> None:
        """It has ended. Harmless more than once."""
        self.begin()
        if self._is_open:
            self._is_open = False
            self._requests.leave(self._ids)


def _count_down(counts: Counter[str], ids: Sequence[str]) -> None:
    for who in ids:
        counts[who] -= 1
        if not counts[who]:
            del counts[who]
