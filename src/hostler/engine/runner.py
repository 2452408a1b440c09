"""What the engine core asks of the half that computes."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from hostler.engine.beams.search import Candidate
from hostler.engine.request import Request
from hostler.engine.scheduler import SchedulerOutput


class NumericalFailure(Exception):
    """Marks a sequence whose logits are not numbers; a value in `ModelRunner.execute`'s answer, never raised."""


class GrammarFailure(Exception):
    """Marks a sequence whose grammar cannot be followed any further, and says why; never raised either."""


Failure = NumericalFailure | GrammarFailure
Outcome = int | list[Candidate] | Failure
"""A sequence's next token; for a beam search, how its beams may go on, best first."""


class ModelRunner(Protocol):
    """Runs the model over one step's tokens and keeps the keys and values of each sequence."""

    def execute(self, output: SchedulerOutput) -> Mapping[Request, Outcome]:
        """Compute the scheduled tokens; what comes next for every sequence that is now up to date."""
        ...

    def free(self, requests: Iterable[Request]) -> None:
        """Drop all that is kept for these sequences; unknown ones are ignored."""
        ...


class PrefixKeeper(Protocol):
    """A runner with which sequences can begin as others did: it obeys `SchedulerOutput.reused` and `dropped`."""

    def keep(self, request: Request, num_tokens: int) -> None:
        """Copy what was computed of the first tokens of a sequence that is about to be freed."""
        ...

    def drop(self, kept: Iterable[Request]) -> None:
        """Forget what is kept of these ended sequences; unknown ones are ignored."""
        ...
