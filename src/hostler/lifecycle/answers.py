"""What waiters are told, each once."""

import asyncio
import copy
import itertools
from collections.abc import Iterator
from contextlib import contextmanager

from hostler.errors import HostlerError


class Answers:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._awaited: dict[int, asyncio.Future[object]] = {}
        """By waiter id."""
        self._ids = itertools.count(1)

    @contextmanager
    def awaited(self) -> Iterator[tuple[int, asyncio.Future[object]]]:
        """The id of a new waiter, and its answer, which may come as long as this lasts."""
        waiter_id = next(self._ids)
        answer = self._awaited[waiter_id] = asyncio.get_running_loop().create_future()
        try:
            yield waiter_id, answer
        finally:
            del self._awaited[waiter_id]

    def give(self, waiter_id: int, answer: object) -> None:
        """Has no effect on one that was cancelled."""
        if not (awaited := self._awaited[waiter_id]).done():
            awaited.set_result(answer)

    def refuse(self, waiter_id: int, error: HostlerError) -> None:
        """The same."""
        if not (awaited := self._awaited[waiter_id]).done():
            # A copy, since several may get the same error and each raise grows its traceback.
            awaited.set_exception(copy.copy(error))
