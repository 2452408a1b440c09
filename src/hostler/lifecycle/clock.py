"""Time as the lifecycle sees it: a seam, so that tests can let an hour pass."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """A call that waits for its time."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """Two readings of time and one alarm."""

    def now(self) -> float:
        """Seconds that never go backwards, from an arbitrary start."""
        ...

    def unix_time(self) -> float:
        """Seconds since 1970, for people."""
        ...

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call back, on the running event loop, once `now()` has reached `when`, or a moment before."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clock and the running event loop's timers."""

    def now(self) -> float:
        return time.monotonic()

    def unix_time(self) -> float:
        return time.time()

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        # call_later rather than loop.call_at: a loop may count its time from another start than time.monotonic.
        return asyncio.get_running_loop().call_later(max(0.0, when - self.now()), callback)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
