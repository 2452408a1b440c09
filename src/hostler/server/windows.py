"""What was used in the last minute, by whom: in memory, or in a Redis that several gateways share."""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from limits.aio.storage import RedisStorage
from limits.errors import StorageError
from pydantic import SecretStr

from hostler.errors import ConfigError
from hostler.server.memory_windows import MemoryWindows, Standing

logger = logging.getLogger(__name__)

WINDOW_S = 60
REDIS_TIMEOUT_S = 0.5
"""A count is worth no longer wait."""
REDIS_PAUSE_S = 10.0
"""Between two tries of a Redis that does not answer."""

_UNBOUNDED = 2**53


@dataclass(frozen=True)
class Left:
    """How one window stands."""

    limit: int
    remaining: int
    reset_s: float
    """Until nothing counts any more."""
    retry_after_s: float
    """Until what was asked for is free; 0: it was."""


class Windows:
    """Counts with a sliding window that keeps two numbers for each caller: that of this minute, and that of the last,
    weighted by what is left of it.

    A Redis that does not answer makes every gateway count for itself until it does: limits are no door.
    """

    def __init__(self, redis_url: SecretStr | None, clock: Callable[[], float] = time.monotonic) -> None:
        """
        Raises:
            ConfigError: the URL cannot be used, or the client for Redis is not installed.
        """
        self._memory = MemoryWindows()
        self._pool: Any = None
        self._redis = None if redis_url is None else self._connect(redis_url.get_secret_value())
        self._clock = clock
        self._retry_at = -math.inf

    async def take(self, who: str, what: str, limit: int, amount: int) -> Left:
        """Count so much, if that leaves no more than the limit; `Left.retry_after_s` says whether it did."""
        is_taken, standing = await self._count(who, what, limit, amount)
        return _left(limit, 0 if is_taken else amount, *standing)

    async def add(self, who: str, what: str, amount: int) -> None:
        """Count so much, whatever the limit."""
        await self._count(who, what, _UNBOUNDED, amount)

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.aclose()

    def _connect(self, url: str) -> RedisStorage:
        try:
            from redis.asyncio import ConnectionPool
        except ImportError as exc:
            raise ConfigError(
                "LIMITS_REDIS_URL is set and the client for Redis is missing: pip install 'hostler[redis]'"
            ) from exc
        try:
            self._pool = ConnectionPool.from_url(
                url, socket_timeout=REDIS_TIMEOUT_S, socket_connect_timeout=REDIS_TIMEOUT_S
            )
        except ValueError as exc:
            raise ConfigError("LIMITS_REDIS_URL should be such as redis://host:6379/0") from exc
        return RedisStorage(
            "async+redis://localhost:6379",  # it wants one; the pool knows the real one
            wrap_exceptions=True,
            implementation="redispy",
            key_prefix="HOSTLER",
            connection_pool=self._pool,
        )

    async def _count(self, who: str, what: str, limit: int, amount: int) -> tuple[bool, Standing]:
        """In the Redis, if there is one and it answers; whether it was counted, and how it stands then."""
        key = f"{what}/{who}"
        if self._redis is not None and self._clock() >= self._retry_at:
            try:
                async with asyncio.timeout(2 * REDIS_TIMEOUT_S):
                    is_taken = await self._redis.acquire_sliding_window_entry(key, limit, WINDOW_S, amount)
                    return is_taken, await self._redis.get_sliding_window(key, WINDOW_S)
            except (StorageError, TimeoutError) as exc:
                self._retry_at = self._clock() + REDIS_PAUSE_S
                # The text of the exception may have the URL in it, and that a password.
                logger.warning(
                    "limits_redis_unreachable error=%s retry_after_s=%g counted=%r",
                    type(exc.__cause__ or exc).__name__,
                    REDIS_PAUSE_S,
                    "by this gateway alone",
                )
        return self._memory.take(key, limit, WINDOW_S, amount)


def _left(limit: int, lacking: int, previous: int, previous_s: float, current: int, current_s: float) -> Left:
    """`previous_s`: for how long the last minute still counts; `current_s`: this one, which then is the last one.

    `lacking`: what was asked for in vain.
    """
    used = previous * previous_s / WINDOW_S + current
    ends_in_s = max(0.0, current_s - WINDOW_S)
    reset_s = current_s if current else previous_s if previous else 0.0
    retry_after_s = 0.0
    if lacking:
        # Fractions of what was used do not count, so that it may come to just under this.
        room = limit - min(lacking, limit) + 1
        if current < room and previous:
            retry_after_s = previous_s - (room - current) * WINDOW_S / previous
        elif current:
            retry_after_s = ends_in_s + WINDOW_S * (1 - min(room, current) / current)
        retry_after_s = max(retry_after_s, 1.0)
    return Left(limit, max(0, limit - math.floor(used)), reset_s, retry_after_s)
