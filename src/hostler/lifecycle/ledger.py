"""What is promised to whom of what there is: bytes of each memory, and places for models.

A model's need is reserved before its worker starts, and given back when that worker has exited and its memory with it.
"""

from collections.abc import Mapping

Need = Mapping[str, int]
"""Amounts by resource: bytes of `HOST` and of accelerators (`cuda:0`), and `PLACES`."""

HOST = "host"
PLACES = "places"
"""Models that may be in memory at once (`max_concurrent_models`); each needs one."""


class Ledger:
    """Never promises more than the budget."""

    def __init__(self, budget: Need) -> None:
        self.budget = dict(budget)
        self._held: dict[str, dict[str, int]] = {}

    def held_by(self, model_id: str) -> Need:
        """What is reserved for a model; empty for one that has nothing."""
        return self._held.get(model_id, {})

    @property
    def held(self) -> Need:
        """What is promised to all together."""
        return plus(*self._held.values())

    @property
    def free(self) -> Need:
        """What is promised to nobody."""
        return minus(self.budget, self.held)

    def reserve(self, model_id: str, need: Need) -> None:
        """Promise it; the caller has made sure that it is free."""
        assert model_id not in self._held, "reserved twice"
        assert covers(self.free, need), "more than there is"
        self._held[model_id] = dict(need)

    def correct(self, model_id: str, need: Need) -> None:
        """Replace an estimate by what was measured, as far as the budget goes."""
        ceiling = plus(self.free, self._held[model_id])
        self._held[model_id] = {resource: min(amount, ceiling.get(resource, 0)) for resource, amount in need.items()}

    def release(self, model_id: str) -> None:
        """Take back what a model had; harmless when it had nothing."""
        self._held.pop(model_id, None)


def covers(available: Need, need: Need) -> bool:
    """Whether the one is enough for the other."""
    return all(available.get(resource, 0) >= amount for resource, amount in need.items() if amount > 0)


def plus(*amounts: Need) -> dict[str, int]:
    """The sum of all, by resource."""
    total: dict[str, int] = {}
    for need in amounts:
        for resource, amount in need.items():
            total[resource] = total.get(resource, 0) + amount
    return total


def minus(total: Need, *amounts: Need) -> dict[str, int]:
    """What is left of each resource; negative where it is not enough."""
    taken = plus(*amounts)
    return {resource: total.get(resource, 0) - taken.get(resource, 0) for resource in {**total, **taken}}


def minimum(first: Need, second: Need) -> dict[str, int]:
    """The smaller one of each resource that both have."""
    return {resource: min(first[resource], second[resource]) for resource in first.keys() & second.keys()}


def missing(available: Need, need: Need) -> dict[str, int]:
    """What the need exceeds the available by; empty when it is covered."""
    left = minus(available, need)
    return {resource: -left[resource] for resource in need if left[resource] < 0}
