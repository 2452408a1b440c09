"""How many requests to models one caller may send in a minute."""

import math
import time

from fastapi import Request
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from hostler.config import Settings
from hostler.errors import RateLimitError

HEADERS = ("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests")
"""As OpenAI names them; on the answers of counted routes, where there is a limit."""


class RateLimits:
    """Counts in memory: a server that starts anew forgets."""

    def __init__(self, settings: Settings) -> None:
        per_minute = settings.requests_per_minute
        self._item = None if per_minute is None else RateLimitItemPerMinute(per_minute)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def count(self, caller: str, headers: dict[str, str]) -> None:
        """Count a request of a caller. `headers`: those of its answer, refused or not, are put there.

        Raises:
            RateLimitError: it is one too many.
        """
        if self._item is None:
            return
        limit = self._item.amount
        is_allowed = await self._limiter.hit(self._item, caller)
        window = await self._limiter.get_window_stats(self._item, caller)
        reset_s = max(0.0, window.reset_time - time.time())
        values = (str(limit), str(window.remaining), f"{math.ceil(reset_s)}s")
        headers.update(zip(HEADERS, values, strict=True))
        if not is_allowed:
            raise RateLimitError(
                f"{limit} requests a minute are allowed (requests_per_minute), and this is one too many; wait",
                retry_after_s=reset_s,
            )


async def count_request(request: Request) -> None:
    """A dependency of the routes that ask a model for something.

    Raises:
        RateLimitError: see `RateLimits.count`.
    """
    if request.method != "POST":
        return
    limits: RateLimits = request.app.state.services.rate_limits
    await limits.count(_caller_of(request), request.state.answer_headers)


def _caller_of(request: Request) -> str:
    """Who is counted as one: whoever has the key, else whoever calls from an address."""
    if request.app.state.services.settings.api_key is not None:
        return "key"
    return "socket" if request.client is None else request.client.host
