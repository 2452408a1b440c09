"""How much one caller, one address and all together may ask of models."""

import math
from collections.abc import AsyncIterator, Sequence

from fastapi import Request

from hostler.config import Settings
from hostler.errors import RateLimitError
from hostler.server import request_context
from hostler.server.counted import Counted, Counting
from hostler.server.open_requests import OpenRequests
from hostler.server.windows import Left, Windows

HEADERS = tuple(
    f"x-ratelimit-{fact}-{what}" for what in ("requests", "tokens") for fact in ("limit", "remaining", "reset")
)
"""As OpenAI names them; on the answers of counted routes, where there is a limit."""
BYTES_PER_TOKEN = 4
"""Of a request's body: what it is taken to cost until its tokens are counted. Hardly any text has more to a token, so
that few requests are taken for more than they turn out to be."""


class RateLimits:
    """The windows of a minute, and the requests that are under way."""

    def __init__(self, settings: Settings) -> None:
        """
        Raises:
            ConfigError: `limits_redis_url` cannot be used.
        """
        self.counting = Counting(settings)
        self.open_requests = OpenRequests()
        self.windows = Windows(settings.limits_redis_url)

    async def take(self, counted: Sequence[Counted], num_tokens: int, headers: dict[str, str]) -> None:
        """Count a request that is taken to cost so many tokens. `headers`: those of its answer, refused or not, are put
        there; of several limits those of the one with the least left.

        Raises:
            RateLimitError: there is not so much left.
        """
        for what in ("requests", "tokens"):
            shown: Left | None = None
            for one in counted:
                name = f"{what}_per_minute"
                limit = getattr(one.limits, name)
                if limit is None:
                    continue
                # One that is larger than a minute's worth is let in where nothing else was.
                amount = 1 if what == "requests" else min(num_tokens, limit)
                left = await self.windows.take(one.id, what, limit, amount)
                if shown is None or left.remaining < shown.remaining or left.retry_after_s:
                    shown = left
                    _show(headers, what, left)
                if left.retry_after_s:
                    raise RateLimitError(
                        f"{limit} {what} a minute are allowed for {one.description} ({one.prefix}{name}), and this"
                        f" would be more; wait",
                        retry_after_s=left.retry_after_s,
                    )

    async def add_tokens(self, counted: Sequence[Counted], num_tokens: int) -> None:
        """Count what a request has cost beyond what it was taken to."""
        for one in counted:
            if num_tokens > 0 and one.limits.tokens_per_minute is not None:
                await self.windows.add(one.id, "tokens", num_tokens)


async def count_request(request: Request) -> AsyncIterator[None]:
    """A dependency of the routes that ask a model for something. What it counted is let go of when the answer is
    complete, or its client gone.

    Raises:
        RateLimitError: the caller, its address or all together have taken what they may.
    """
    limits: RateLimits = request.app.state.services.rate_limits
    counted = limits.counting.of(request.state.principal) if request.method == "POST" else []
    if not counted:
        yield
        return
    estimate = _estimate(request)
    ticket = limits.open_requests.enter(counted)
    try:
        await limits.take(counted, estimate, request.state.answer_headers)
        request_context.queue(ticket)
        yield
    finally:
        ticket.leave()
    await limits.add_tokens(counted, _num_tokens(request) - estimate)


def _estimate(request: Request) -> int:
    length = request.headers.get("content-length", "")
    num_bytes = int(length[:20]) if length.isascii() and length.isdecimal() else 0
    return max(1, num_bytes // BYTES_PER_TOKEN)


def _num_tokens(request: Request) -> int:
    """Of the prompts and answers of a request, as far as they have come."""
    generated = [run.generated() for run in getattr(request.state, "generations", ())]
    return sum(one.num_prompt_tokens + one.num_completion_tokens for one in generated)


def _show(headers: dict[str, str], what: str, left: Left) -> None:
    headers[f"x-ratelimit-limit-{what}"] = str(left.limit)
    headers[f"x-ratelimit-remaining-{what}"] = str(left.remaining)
    headers[f"x-ratelimit-reset-{what}"] = f"{math.ceil(left.reset_s)}s"
