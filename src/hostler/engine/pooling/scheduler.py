"""Which texts the next step computes: integers alone, no tensors.

A step is a batch of rows that are padded to the longest of them, so it takes texts of like length; they may be of
several requests. It is small, and who has been given least goes first: of callers, by their weights, and then of the
requests of one. So a text waits for no more steps than there are other callers and, of its own, requests, however many
texts these have brought.
"""

from bisect import bisect_right
from operator import itemgetter

from hostler.engine.pooling.request import PoolingRequest, PoolingSequence

LEAST_FILLED = 0.5
"""A text is computed beside a longer one when at most half of its row is padding."""


class _Queue:
    """What is left of one request."""

    def __init__(self, request: PoolingRequest, num_served: int) -> None:
        self.caller = request.caller
        self.waiting = sorted(request.sequences, key=_num_tokens)
        """Ascending by length."""
        self.num_served = num_served
        """Tokens that it was given, padding included, counted from what that of its caller had that had least when it
        came."""

    def take(self, most: int, least: float) -> PoolingSequence | None:
        """The longest that has at most so many tokens, and at least so many."""
        place = bisect_right(self.waiting, most, key=_num_tokens) - 1
        if place < 0 or self.waiting[place].num_tokens < least:
            return None
        return self.waiting.pop(place)


class PoolingScheduler:
    """Fair between callers and between the requests of each, in tokens."""

    def __init__(self, max_num_batched_tokens: int) -> None:
        """A text that is longer has a step to itself."""
        self._max_num_batched_tokens = max_num_batched_tokens
        self._queues: dict[int, _Queue] = {}
        """By request id, in the order of arrival; none is empty."""
        self._shares: dict[str, float] = {}
        """By the id of each caller that has a queue: tokens it was given by its weight, counted from what the caller
        had that had least when it came."""

    @property
    def num_waiting(self) -> int:
        """Texts that no step has computed."""
        return sum(len(queue.waiting) for queue in self._queues.values())

    def has_requests(self) -> bool:
        return bool(self._queues)

    def add_request(self, request: PoolingRequest) -> None:
        caller_id = request.caller.id
        if caller_id not in self._shares:
            self._shares[caller_id] = min(self._shares.values(), default=0.0)
        siblings = (queue.num_served for queue in self._queues.values() if queue.caller.id == caller_id)
        self._queues[request.request_id] = _Queue(request, min(siblings, default=0))

    def remove(self, request_id: int) -> None:
        """Forget what is left of a request; unknown ids are ignored."""
        removed = self._queues.pop(request_id, None)
        if removed is not None and all(queue.caller.id != removed.caller.id for queue in self._queues.values()):
            del self._shares[removed.caller.id]

    def schedule(self) -> list[PoolingSequence]:
        """The rows of the next step, which are not waiting any more: the longest text of whose turn it is, and what
        fits beside it."""
        turns = ((self._shares[queue.caller.id], queue.num_served, i) for i, queue in self._queues.items())
        in_turn = [(i, self._queues[i]) for i in map(itemgetter(2), sorted(turns))]
        longest = in_turn[0][1].waiting[-1].num_tokens
        num_rows = max(1, self._max_num_batched_tokens // max(1, longest))
        batch: list[PoolingSequence] = []
        for request_id, queue in in_turn:
            while len(batch) < num_rows and (sequence := queue.take(longest, longest * LEAST_FILLED)) is not None:
                batch.append(sequence)
                queue.num_served += longest
                self._shares[queue.caller.id] += longest / queue.caller.weight
            if not queue.waiting:
                self.remove(request_id)
            if len(batch) == num_rows:
                break
        return batch


def _num_tokens(sequence: PoolingSequence) -> int:
    return sequence.num_tokens
