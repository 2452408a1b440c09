"""Who of those that wait is next: callers take turns by what they were given, each with its own order.

Start-time fair queueing (Goyal, Vin, Cheng: SIGCOMM 1996, section 2): a virtual clock stands at the start tag of the
sequence that began last; a caller's next one has as its start tag the end of its last one, or the clock, whichever is
later; that with the least tag is next. Who was away gains nothing by it, and who asks for much gets no more than who
asks for little while both wait. When there is nothing left to compute, all begin anew.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from statistics import median_low

from hostler.engine.request import Request, RequestStatus
from hostler.engine.shares import Shares

MAX_REMEMBERED = 1024
"""Callers whose next start is kept. One who comes from many addresses may be many callers."""

MAX_COUNTED_OUTPUT = 256
"""Of the tokens that an answer may have, those that count: most end long before their bound, and who names none is not
to be set back for it."""


class FairQueue:
    """Sequences that wait. A place among those of a caller is a `Request.turn`, which is kept for life: one that was
    preempted came before all of its caller's priority that still wait, and is therefore before them again."""

    def __init__(self) -> None:
        self._by_caller: dict[str, list[Request]] = {}
        """By their turn; no list is empty."""
        self._tags: dict[str, float] = {}
        """By caller, when its next sequence starts on the virtual clock, unless the clock has passed it."""
        self._clock = 0.0

    def __len__(self) -> int:
        return sum(map(len, self._by_caller.values()))

    def __bool__(self) -> bool:
        return bool(self._by_caller)

    def __iter__(self) -> Iterator[Request]:
        """In no order that means anything, but each caller's by their turn."""
        for requests in self._by_caller.values():
            yield from requests

    def __contains__(self, request: object) -> bool:
        return any(request is waiting for waiting in self)

    @property
    def callers(self) -> set[str]:
        return set(self._by_caller)

    def heads(self) -> Iterator[Request]:
        """The first of each caller."""
        return (requests[0] for requests in self._by_caller.values())

    def add(self, request: Request) -> None:
        insort(self._by_caller.setdefault(request.caller.id, []), request, key=_turn)

    def remove(self, request: Request) -> None:
        """Take out one that waits, wherever it stands."""
        requests = self._by_caller[request.caller.id]
        del requests[bisect_left(requests, request.turn, key=_turn)]
        if not requests:
            del self._by_caller[request.caller.id]

    def peek(self, shares: Shares | None) -> Request:
        """The next one; there must be one. Callers that run less than their share come before all others. `shares`:
        `None` where there is one caller."""

        def place(head: Request) -> tuple[bool, float, int]:
            return shares is not None and not shares.has_room(head), self._start_of(head), head.arrival

        return min(self.heads(), key=place)

    def begin(self, request: Request) -> None:
        """Take out the next one, for it begins."""
        start = self._start_of(request)
        self.remove(request)
        if request.status is not RequestStatus.PREEMPTED:
            self._clock = start
            self._tags[request.caller.id] = self._clock + _cost(request) / request.caller.weight
            if len(self._tags) > MAX_REMEMBERED:
                self._forget_half()

    def begin_anew(self) -> None:
        """Nobody owes anybody a turn any more: nothing runs and nothing waits."""
        self._tags.clear()

    def _forget_half(self) -> None:
        """Callers that come once each all start at the clock, which does not move for them and so passes nobody. It is
        put forward to where half of them have been passed; who has waited since before is nearer to its turn for it."""
        self._clock = max(self._clock, median_low(self._tags.values()))
        self._tags = {caller: tag for caller, tag in self._tags.items() if tag > self._clock}

    def _start_of(self, request: Request) -> float:
        """One that was preempted has had its turn, and is owed it."""
        if request.status is RequestStatus.PREEMPTED:
            return self._clock
        return max(self._clock, self._tags.get(request.caller.id, 0.0))


def _cost(request: Request) -> float:
    """Tokens that it takes to compute, as far as that is known."""
    num_prompt_tokens = len(request.prompt_token_ids) + request.num_encoder_tokens
    return num_prompt_tokens + request.num_rows * min(request.max_tokens, MAX_COUNTED_OUTPUT)


def _turn(request: Request) -> tuple[int, int]:
    return request.turn
