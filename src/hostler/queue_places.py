"""Whose the places of a full queue are."""

from collections.abc import Collection

from hostler.types import Caller


def has_place(caller: Caller, waiting: Collection[Caller], num_places: int) -> bool:
    """Whether one more request may wait. `waiting`: of each that waits, whose it is.

    A queue that one caller has filled is not full for another: who has fewer there than its share by weight, or none,
    comes in all the same, since nobody who waits is sent away. So a queue of `n` places holds about
    `n (1 + 1/2 + … + 1/k)` requests of `k` callers of one weight at most.
    """
    if len(waiting) < num_places:
        return True
    num_own = sum(other.id == caller.id for other in waiting)
    if not num_own:
        return True
    weights = {other.id: other.weight for other in waiting} | {caller.id: caller.weight}
    return num_own < int(num_places * caller.weight / sum(weights.values()))
