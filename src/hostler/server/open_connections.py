"""How many connections there may be: in all, and from one address."""

import ipaddress
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection

from hostler.config import Settings
from hostler.errors import RateLimitError
from hostler.server.principal import SOCKET, counted_address

logger = logging.getLogger(__name__)

MAX_REFUSALS = 64
"""Connections beyond the bound that are kept until they were told so; others are cut at once."""
RETRY_AFTER_S = 1.0
_TELL_EVERY_S = 60.0


class OpenConnections:
    """Counts them for one server. Belongs to one event loop.

    Proxies stand for many, so that they have no bound of their own.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_connections = settings.max_connections
        self._max_per_address = settings.max_connections_per_address
        self._proxies = _networks_of(settings.forwarded_allow_ips)
        self._by_address: Counter[str] = Counter()
        self._num_refusals = 0
        self._clock = clock
        self._told_at = float("-inf")

    @property
    def num_open(self) -> int:
        """Without those that are only to be told that they are too many."""
        return self._by_address.total()

    def enter(self, host: str) -> None:
        """Count one more from this host; "" for a Unix socket.

        Raises:
            RateLimitError: there are as many as there may be.
        """
        address = counted_address(host)
        if self.num_open >= self._max_connections:
            raise self._refusal(f"{self._max_connections} connections are open, as many as may be (max_connections)")
        if self._by_address[address] >= self._max_per_address and not self._is_proxy(host):
            raise self._refusal(
                f"{self._max_per_address} connections are open from {address}, as many as may be"
                " (max_connections_per_address)"
            )
        self._by_address[address] += 1

    def leave(self, host: str) -> None:
        """One that was counted is closed."""
        address = counted_address(host)
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]

    def begin_refusal(self) -> bool:
        """Whether one that was refused may stay until it was told; if so, `end_refusal` has to follow."""
        if self._num_refusals >= MAX_REFUSALS:
            return False
        self._num_refusals += 1
        return True

    def end_refusal(self) -> None:
        self._num_refusals -= 1

    def _refusal(self, problem: str) -> RateLimitError:
        now = self._clock()
        if now - self._told_at >= _TELL_EVERY_S:
            self._told_at = now
            logger.warning("connections_refused num_open=%d reason=%r", self.num_open, problem)
        return RateLimitError(f"{problem}; close some, or come back later", retry_after_s=RETRY_AFTER_S)

    def _is_proxy(self, host: str) -> bool:
        if counted_address(host) == SOCKET:
            return True  # of a proxy on this machine, most likely
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._proxies)


def _networks_of(proxies: Collection[str]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """As uvicorn reads them."""
    networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
    for proxy in proxies:
        if proxy == "*":
            return [ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")]
        try:
            networks.append(ipaddress.ip_network(proxy, strict=False))
        except ValueError:
            continue  # the name of a Unix socket
    return networks
