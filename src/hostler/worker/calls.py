"""Questions to a worker that wait for their answers, seen from the gateway."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from hostler.errors import HostlerError
from hostler.worker.messages import (
    Abort,
    Answer,
    CallFailed,
    FreeCachedMemory,
    Pool,
    ReportDeviceMemory,
    ReportHeartbeat,
    ReportStats,
    TextCall,
    ToWorker,
)
from hostler.worker.settling import refuse, resolve

Call = Pool | TextCall | FreeCachedMemory | ReportDeviceMemory | ReportHeartbeat | ReportStats
Expected = TypeVar("Expected")


class PendingCalls:
    """Belongs to one event loop."""

    def __init__(self, send: Callable[[ToWorker], None]) -> None:
        self._send = send
        self._futures: dict[int, asyncio.Future[Answer]] = {}
        self.num_requests = 0
        """Those that wait for it and are somebody's request."""

    async def ask(self, call: Call, answer_type: type[Expected]) -> Expected:
        """Send a call and wait for its answer, which is of that type.

        Raises:
            HostlerError: the worker answered with it, or `fail` was called.
        """
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._futures[call.call_id] = future
        is_request = isinstance(call, Pool | TextCall)
        self.num_requests += is_request
        try:
            self._send(call)
            answer = await future
        except asyncio.CancelledError:
            if is_request:
                self._send(Abort(request_id=call.call_id))
            raise
        finally:
            self.num_requests -= is_request
            self._futures.pop(call.call_id, None)
        assert isinstance(answer, answer_type)
        return answer

    def settle(self, message: Answer | CallFailed) -> None:
        """What the worker answered. One to a call that was given up is passed over."""
        future = self._futures.get(message.call_id)
        if future is None:
            return
        if isinstance(message, CallFailed):
            refuse(future, message.error.rebuild())
        else:
            resolve(future, message)

    def fail(self, error: HostlerError) -> None:
        """Let all that wait have this error."""
        for future in self._futures.values():
            refuse(future, error)
