"""Waiting for whichever comes first, and for what a test lets happen."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Literal

Sleep = Callable[[float], Awaitable[None]]


async def first_of(*waits: Awaitable[object]) -> None:
    """Wait for the first to be done; cancel the others."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Gate(asyncio.Event):
    """Holds a fake model up, until a test in another thread opens it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """`loop`: the server's."""
        super().__init__()
        self._of_server = loop
        self._reached = threading.Event()

    async def wait(self) -> Literal[True]:
        self._reached.set()
        return await super().wait()

    def open(self) -> None:
        """Let what waits, and all that comes, go on."""
        self._of_server.call_soon_threadsafe(self.set)

    def wait_reached(self, timeout_s: float = 30.0) -> None:
        """Return once something waits for it.

        Raises:
            TimeoutError: nothing has come.
        """
        if not self._reached.wait(timeout_s):
            raise TimeoutError(f"nothing has come to the gate within {timeout_s:g} s")
