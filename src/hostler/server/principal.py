"""Who asks."""

import ipaddress
from dataclasses import dataclass
from functools import lru_cache

from fastapi import Request

from hostler.keys import Key, Scope
from hostler.registry import ModelSpec

SOCKET = "socket"
_NETWORK_BITS = 64
"""Of an IPv6 address, what one subscriber is given: whoever has one of it has them all."""


@dataclass(frozen=True)
class Principal:
    """A caller that was let in."""

    address: str
    """As `counted_address` has it."""
    key: Key | None = None
    """`None`: the server has no keys."""

    @property
    def name(self) -> str:
        """For the log; never any part of a key."""
        return "-" if self.key is None else self.key.name

    @property
    def caller_id(self) -> str:
        """Who is counted, and served, as one: whoever has the key, else whoever calls from an address."""
        return f"address:{self.address}" if self.key is None else f"key:{self.key.name}"

    @property
    def sees_all_models(self) -> bool:
        return self.key is None or self.key.models is None

    def has(self, scope: Scope) -> bool:
        return self.key is None or scope in self.key.scopes

    def may_use(self, spec: ModelSpec) -> bool:
        return self.key is None or self.key.may_use(spec.id, spec.name)

    def may_name(self, name: str) -> bool:
        """Whether a model that nobody knows yet may be looked for under that name."""
        return self.key is None or self.key.may_use(name)


def address_of(request: Request) -> str:
    return counted_address(request.client.host if request.client is not None else "")


@lru_cache(maxsize=4096)
def counted_address(host: str) -> str:
    """What is counted as one caller: the host itself, or its network of IPv6; `SOCKET` for "", a Unix socket."""
    if not host:
        return SOCKET
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), _NETWORK_BITS), strict=False))
