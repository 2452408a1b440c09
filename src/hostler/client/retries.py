"""Which requests are sent again, and when: those that are safe to repeat, a few times, not all at one moment."""

from dataclasses import dataclass
from http import HTTPStatus

from hostler.client.connection import ServerConnectionError, ServerUnreachableError
from hostler.errors import HostlerError

Failure = HostlerError | ServerConnectionError
SPREAD = 0.25
"""Part of a `Retry-After` that is waited beyond it, at most: of those that were told the same, not all come at once."""


@dataclass(frozen=True)
class Retries:
    """What a client does about requests that were turned away."""

    max_retries: int
    """Of one request; 0: none is sent again."""
    max_wait_s: float
    """What the server asks to be longer than that is not waited for."""
    backoff_s: float
    """The first wait where the server says nothing, at most; it doubles each time."""

    def wait_s(self, failure: Failure, num_retries: int, draw: float) -> float | None:
        """How long to wait before the next try; `None`: there is none.

        `num_retries`: so many there were. `draw`: from 0 to 1, by chance.
        """
        if num_retries >= self.max_retries or not _is_safe_to_repeat(failure):
            return None
        asked_s = failure.retry_after_s if isinstance(failure, HostlerError) else None
        if asked_s is None:
            return float(min(self.max_wait_s, self.backoff_s * 2**num_retries) * (1 + draw) / 2)
        return asked_s * (1 + SPREAD * draw) if asked_s <= self.max_wait_s else None


def _is_safe_to_repeat(failure: Failure) -> bool:
    """Whether the request has had no effect that another would add to, and may do better."""
    if isinstance(failure, ServerConnectionError):
        return isinstance(failure, ServerUnreachableError)
    is_asked_back = failure.status == HTTPStatus.SERVICE_UNAVAILABLE and failure.retry_after_s is not None
    return failure.status == HTTPStatus.TOO_MANY_REQUESTS or is_asked_back
