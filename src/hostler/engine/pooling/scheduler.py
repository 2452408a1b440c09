"""Which texts the next step computes: integers alone, no tensors.

A step is a batch of rows that are padded to the longest of them, so it takes texts of like length; they may be of
several requests. It is small, and who has been given least goes first: a request of one text waits for no more steps
than there are other requests, however many texts these have brought.
"""

from bisect import bisect_right

from hostler.engine.pooling.request import PoolingRequest, PoolingSequence

LEAST_FILLED = 0.5
"""A text is computed beside a longer one when at most half of its row is padding."""


class _Queue:
    """What is left of one request."""

    def __init__(self, request: PoolingRequest, turn: tuple[int, int]) -> None:
        self.waiting = sorted(request.sequences, key=_num_tokens)
        """Ascending by length."""
        self.turn = turn
        """Tokens that it was given, padding included, counted from what those had who were there when it came; and
        the order of arrival. The lowest is served first."""

    def take(self, most: int, least: float) -> PoolingSequence | None:
        """The longest that has at most so many tokens, and at least so many."""
        place = bisect_right(self.waiting, most, key=_num_tokens) - 1
        if place < 0 or self.waiting[place].num_tokens < least:
            return None
        return self.waiting.pop(place)

    def charge(self, num_tokens: int) -> None:
        self.turn = (self.turn[0] + num_tokens, self.turn[1])


class PoolingScheduler:
    """Fair between requests, in tokens."""

    def __init__(self, max_num_batched_tokens: int) -> None:
        """A text that is longer has a step to itself."""
        self._max_num_batched_tokens = max_num_batched_tokens
        self._queues: dict[int, _Queue] = {}
        """By request id; none is empty."""
        self._num_arrived = 0

    def has_requests(self) -> bool:
        return bool(self._queues)

    def add_request(self, request: PoolingRequest) -> None:
        served = min((queue.turn[0] for queue in self._queues.values()), default=0)
        self._queues[request.request_id] = _Queue(request, (served, self._num_arrived))
        self._num_arrived += 1

    def remove(self, request_id: int) -> None:
        """Forget what is left of a request; unknown ids are ignored."""
        self._queues.pop(request_id, None)

    def schedule(self) -> list[PoolingSequence]:
        """The rows of the next step, which are not waiting any more: the longest text of whose turn it is, and what
        fits beside it."""
        in_turn = sorted(self._queues.items(), key=lambda item: item[1].turn)
        longest = in_turn[0][1].waiting[-1].num_tokens
        num_rows = max(1, self._max_num_batched_tokens // max(1, longest))
        batch: list[PoolingSequence] = []
        for request_id, queue in in_turn:
            while len(batch) < num_rows and (sequence := queue.take(longest, longest * LEAST_FILLED)) is not None:
                batch.append(sequence)
                queue.charge(longest)
            if not queue.waiting:
                del self._queues[request_id]
            if len(batch) == num_rows:
                break
        return batch


def _num_tokens(sequence: PoolingSequence) -> int:
    return sequence.num_tokens
