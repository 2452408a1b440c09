"""A queue into one thread, of which callers have equal parts."""

import threading
from collections import deque
from typing import Generic, TypeVar

from hostler.types import Caller

Item = TypeVar("Item")


class CallerTurns(Generic[Item]):
    """Items of one caller keep their order. Of callers that wait, that one is next which has had least of the thread's
    time, by its weight: the rule of `engine.fair_queue`, but with costs that are known only when they are over."""

    def __init__(self) -> None:
        self._has_items = threading.Condition()
        self._by_caller: dict[str, deque[Item]] = {}
        """None is empty. Who has waited longest stands first."""
        self._tags: dict[str, float] = {}
        """By caller, when its next item starts on the virtual clock; forgotten when nothing waits."""
        self._clock = 0.0

    def put(self, caller: Caller, item: Item) -> None:
        """From any thread."""
        with self._has_items:
            self._by_caller.setdefault(caller.id, deque()).append(item)
            self._has_items.notify()

    def get(self) -> Item:
        """The next one; waits until there is one."""
        with self._has_items:
            self._has_items.wait_for(lambda: self._by_caller)
            caller_id = min(self._by_caller, key=self._start_of)
            self._clock = self._start_of(caller_id)
            items = self._by_caller[caller_id]
            item = items.popleft()
            if not items:
                del self._by_caller[caller_id]
            return item

    def charge(self, caller: Caller, seconds: float) -> None:
        """Say what the last one took, which was this caller's."""
        with self._has_items:
            if self._by_caller:
                self._tags[caller.id] = self._clock + seconds / caller.weight
            else:
                self._tags.clear()

    def _start_of(self, caller_id: str) -> float:
        return max(self._clock, self._tags.get(caller_id, 0.0))
