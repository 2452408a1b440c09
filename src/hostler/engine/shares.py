"""How much of the places that run is whose, while several callers want them."""

from collections import Counter
from collections.abc import Iterable

from hostler.engine.request import Request


class Shares:
    """The places of one step, by caller."""

    def __init__(self, running: Iterable[Request], waiting: Iterable[Request], num_places: int) -> None:
        self._num_rows: Counter[str] = Counter()
        self._num_sequences: Counter[str] = Counter()
        weights: dict[str, float] = {}
        for request in running:
            self.add(request)
            weights[request.caller.id] = request.caller.weight
        for request in waiting:
            weights.setdefault(request.caller.id, request.caller.weight)
        total = sum(weights.values())
        self._places = {caller_id: max(1, int(num_places * weight / total)) for caller_id, weight in weights.items()}

    def has_room(self, request: Request) -> bool:
        """Whether one more is within its caller's share; its first always is, however many places it takes."""
        caller_id = request.caller.id
        num_rows = self._num_rows[caller_id]
        return not num_rows or num_rows + request.num_rows <= self._places[caller_id]

    def excess(self, request: Request) -> int:
        """How many places its caller has beyond its share. None is that of whom one sequence runs alone: to stop it
        would be to stop its caller."""
        caller_id = request.caller.id
        if self._num_sequences[caller_id] < 2:
            return 0
        return max(0, self._num_rows[caller_id] - self._places[caller_id])

    def add(self, request: Request) -> None:
        """It is to run."""
        self._num_rows[request.caller.id] += request.num_rows
        self._num_sequences[request.caller.id] += 1

    def release(self, request: Request) -> None:
        """It is to run no longer."""
        self._num_rows[request.caller.id] -= request.num_rows
        self._num_sequences[request.caller.id] -= 1
