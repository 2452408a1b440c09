"""What the engine core asks of the half that computes."""

from collections.abc import Iterable
from typing import Protocol

from hostler.engine.request import Request
from hostler.engine.scheduler import SchedulerOutput


class NumericalFailure(Exception):
    """Marks a sequence whose logits are not numbers; a value in `ModelRunner.execute`'s answer, never raised."""


class ModelRunner(Protocol):
    """Runs the model over one step's tokens and keeps the keys and values of each sequence."""

    def execute(self, output: SchedulerOutput) -> dict[Request, int | NumericalFailure]:
        """Compute the scheduled tokens; the next token of every sequence that is now up to date."""
        ...

    def free(self, requests: Iterable[Request]) -> None:
        """Drop all that is kept for these sequences; unknown ones are ignored."""
        ...
