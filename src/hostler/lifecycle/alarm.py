"""One timer for whatever is due next."""

from collections.abc import Callable

from hostler.lifecycle.clock import Clock, Timer


class Alarm:
    """Rings at the earliest of the times that it was set to since it rang last."""

    def __init__(self, clock: Clock, ring: Callable[[], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._timer: Timer | None = None
        self._due = 0.0

    def set(self, due: float | None) -> None:
        """`None`: at no time.

        One that rings too early does no harm. Each request puts off the end of its model's idle time, and to cancel a
        timer each time would cost more than the rest of what a release has to do.
        """
        if due is None or (self._timer is not None and self._due <= due):
            return
        self.cancel()
        self._due = due
        self._timer = self._clock.call_at(due, self._on_time)

    def cancel(self) -> None:
        """Until it is set again. Harmless more than once."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_time(self) -> None:
        self._timer = None
        self._ring()
