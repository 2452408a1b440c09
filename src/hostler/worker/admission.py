"""How many requests may wait for their first step, and what one too many is told."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

from hostler.errors import QueueFullError
from hostler.queue_places import has_place
from hostler.types import ANYBODY, Caller

NUM_RECENT = 64
"""Requests whose first step the pace is taken from: a few batches."""
MIN_RETRY_AFTER_S = 1.0
MAX_RETRY_AFTER_S = 60.0


class AdmissionControl:
    """Counts the requests that the engine has not begun. Used by the thread that admits and by the one that computes.

    A request counts once, however many sequences it has, and no more once any of them was computed: one that is
    preempted later keeps its right to be finished.
    """

    def __init__(self, max_queued_requests: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_queued_requests = max_queued_requests
        self._clock = clock
        self._lock = threading.Lock()
        self._queued: dict[int, Caller] = {}
        """By request id, whose it is."""
        self._left_at: deque[float] = deque(maxlen=NUM_RECENT)
        """When the last ones left, oldest first; from the time on when somebody began to wait."""

    def enter(self, request_id: int, caller: Caller = ANYBODY) -> None:
        """Count a request.

        Raises:
            QueueFullError: there are as many as there may be, and as many of this caller as is its share.
        """
        with self._lock:
            if not has_place(caller, self._queued.values(), self._max_queued_requests):
                raise QueueFullError(
                    f"{len(self._queued)} requests wait for this model already, as many as may (max_queued_requests)",
                    retry_after_s=self._retry_after_s(),
                )
            if not self._queued:
                self._left_at.clear()
                self._left_at.append(self._clock())
            self._queued[request_id] = caller

    def leave(self, request_ids: Iterable[int]) -> None:
        """Requests that have begun or ended; those that do not wait are ignored."""
        with self._lock:
            for request_id in self._queued.keys() & request_ids:
                del self._queued[request_id]
                self._left_at.append(self._clock())

    def _retry_after_s(self) -> float:
        """When half of those that wait will have begun, at the pace of the last ones.

        The next place is free sooner, but then all who were refused would come back for that one.
        """
        pause_s = (self._clock() - self._left_at[0]) / len(self._left_at)
        return min(max(pause_s * len(self._queued) / 2, MIN_RETRY_AFTER_S), MAX_RETRY_AFTER_S)
