"""When the engine last got on, for those who wonder whether it hangs."""

import time
from collections.abc import Callable


class Heartbeat:
    """Written by the thread that computes, read by another. One attribute, so that neither needs a lock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last_beat_s: float | None = None
        """`None` while there is nothing to do."""

    def rest(self) -> None:
        """There is nothing to do."""
        self._last_beat_s = None

    def beat(self) -> None:
        """A step has ended, or work has come."""
        self._last_beat_s = self._clock()

    def seconds_since(self) -> float:
        """Since the last beat; 0 while there is nothing to do."""
        last_beat_s = self._last_beat_s
        return 0.0 if last_beat_s is None else self._clock() - last_beat_s
