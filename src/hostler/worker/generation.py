"""One request that a worker answers, seen from the gateway."""

import asyncio
from collections.abc import AsyncIterator, Callable

from hostler.errors import HostlerError
from hostler.types import Admission, TokenDelta
from hostler.worker.settling import refuse, resolve

MAX_AT_ONCE = 64
"""Deltas. A reader that was slow finds a pile of them, and what it does with that holds up all others."""


class WorkerGeneration:
    """Implements `hostler.engine_client.Generation`: a queue between the socket and one reader."""

    def __init__(self, num_sequences: int, abort: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self.admitted: asyncio.Future[Admission] = loop.create_future()
        self._num_running = num_sequences
        self._abort = abort
        self._come: list[TokenDelta] = []
        self._error: HostlerError | None = None
        """What it ends with, after what has come."""
        self._has_ended = False
        self._waiting: asyncio.Future[None] | None = None
        """Of the reader, for something to come."""

    @property
    def admission(self) -> Admission:
        return self.admitted.result()

    async def __aiter__(self) -> AsyncIterator[TokenDelta]:
        while deltas := await self.next_deltas():
            for delta in deltas:
                yield delta

    async def next_deltas(self) -> list[TokenDelta]:
        while not (self._come or self._has_ended):
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        if not self._come and self._error is not None:
            raise self._error
        deltas, self._come = self._come, []
        if len(deltas) > MAX_AT_ONCE:
            deltas, self._come = deltas[:MAX_AT_ONCE], deltas[MAX_AT_ONCE:]
            # A reader of a pile never waits, for the pile or for its client: let the others run.
            await asyncio.sleep(0)
        return deltas

    def abort(self) -> None:
        self._abort()

    def accept(self, admission: Admission) -> None:
        """The engine has taken it."""
        resolve(self.admitted, admission)

    def feed(self, delta: TokenDelta) -> bool:
        """Pass on a delta; whether it was the last one of the last sequence."""
        self._come.append(delta)
        self._num_running -= delta.finish_reason is not None
        self._has_ended = self._num_running == 0
        self._wake()
        return self._has_ended

    def fail(self, error: HostlerError) -> None:
        """End with an error: at admission if that has not been answered, else after the deltas so far."""
        refuse(self.admitted, error)
        self._error = error
        self._has_ended = True
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None:
            resolve(self._waiting, None)
            self._waiting = None
