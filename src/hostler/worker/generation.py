"""One request that a worker answers, seen from the gateway."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from hostler.errors import HostlerError
from hostler.types import Admission, TokenDelta
from hostler.worker.settling import refuse, resolve


class WorkerGeneration:
    """Implements `hostler.engine_client.Generation`: a queue between the socket and one reader."""

    def __init__(self, num_sequences: int, abort: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self.admitted: asyncio.Future[Admission] = loop.create_future()
        self._num_running = num_sequences
        self._abort = abort
        # asyncio's own queue, made for several readers and a bound, takes three times as long for each token.
        self._come: deque[TokenDelta | HostlerError | None] = deque()
        self._waiting: asyncio.Future[None] | None = None
        """Of the reader, for something to come."""

    @property
    def admission(self) -> Admission:
        return self.admitted.result()

    async def __aiter__(self) -> AsyncIterator[TokenDelta]:
        while True:
            while not self._come:
                self._waiting = asyncio.get_running_loop().create_future()
                await self._waiting
            item = self._come.popleft()
            if item is None:
                return
            if isinstance(item, HostlerError):
                raise item
            yield item

    @property
    def has_next(self) -> bool:
        return bool(self._come)

    def abort(self) -> None:
        self._abort()

    def accept(self, admission: Admission) -> None:
        """The engine has taken it."""
        resolve(self.admitted, admission)

    def feed(self, delta: TokenDelta) -> bool:
        """Pass on a delta; whether it was the last one of the last sequence."""
        self._put(delta)
        self._num_running -= delta.finish_reason is not None
        if self._num_running == 0:
            self._put(None)
        return self._num_running == 0

    def fail(self, error: HostlerError) -> None:
        """End with an error: at admission if that has not been answered, else after the deltas so far."""
        refuse(self.admitted, error)
        self._put(error)

    def _put(self, item: TokenDelta | HostlerError | None) -> None:
        self._come.append(item)
        if self._waiting is not None:
            resolve(self._waiting, None)
            self._waiting = None
