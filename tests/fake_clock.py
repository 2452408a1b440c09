"""Time that moves only when a test says so."""

import asyncio
import heapq
import itertools
from collections.abc import Callable


class FakeTimer:
    """A call that waits for its time."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class FakeClock:
    """Implements `hostler.lifecycle.clock.Clock`."""

    def __init__(self, now: float = 1000.0, unix_offset_s: float = 1_700_000_000.0) -> None:
        self._now = now
        self._unix_offset_s = unix_offset_s
        self._timers: list[tuple[float, int, FakeTimer]] = []
        self._order = itertools.count()

    def now(self) -> float:
        return self._now

    def unix_time(self) -> float:
        return self._now + self._unix_offset_s

    def call_at(self, when: float, callback: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer(callback)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    async def sleep(self, seconds: float) -> None:
        """Wait until `advance` has passed that many seconds."""
        passed = asyncio.Event()
        timer = self.call_at(self._now + seconds, passed.set)
        try:
            await passed.wait()
        finally:
            timer.cancel()

    @property
    def num_timers(self) -> int:
        """Calls that are still to come."""
        return sum(timer.callback is not None for _, _, timer in self._timers)

    async def advance(self, seconds: float) -> None:
        """Let time pass, making every call that comes due, each at its own time, and let the tasks it woke run."""
        end = self._now + seconds
        while self._timers and self._timers[0][0] <= end:
            when, _, timer = heapq.heappop(self._timers)
            self._now = max(self._now, when)
            if timer.callback is not None:
                callback, timer.callback = timer.callback, None
                callback()
                await settle()
        self._now = end
        await settle()


async def settle() -> None:
    """Let every task run until all of them wait for something."""
    for _ in range(50):
        await asyncio.sleep(0)
