"""Who may use the server."""

import hashlib
import hmac
import ipaddress
from typing import Final

from fastapi import Request

from hostler.config import Settings, is_loopback
from hostler.errors import AuthenticationError, HostlerError, PermissionDeniedError

PUBLIC_ROUTES: Final = frozenset({"/health", "/health/live", "/health/ready"})
"""Templates of the routes that answer without a key; `/health` then says no more than its status."""


class Gate:
    """Lets a request in or says why not."""

    def __init__(self, settings: Settings) -> None:
        self._key = None if settings.api_key is None else _digest(settings.api_key.get_secret_value().encode())
        self._is_open = settings.insecure_no_auth

    def refusal(self, request: Request) -> HostlerError | None:
        """`None`: the caller may go on."""
        if self._key is not None:
            return self._check_key(request, self._key)
        if self._is_open or _is_local(request):
            return None
        return PermissionDeniedError(
            "this server has no key and answers its own machine only; set API_KEY to let others in"
        )

    def _check_key(self, request: Request, expected: bytes) -> HostlerError | None:
        sent = _sent_keys(request)
        # The digests have one length and are compared in constant time, so timing tells nothing about the key.
        if any(hmac.compare_digest(_digest(key.encode("latin-1")), expected) for key in sent):
            return None
        # LiteLLM knows a wrong key by OpenAI's words for it.
        problem = "Incorrect API key provided" if sent else "an API key is needed"
        return AuthenticationError(f"{problem}; send it as 'Authorization: Bearer <key>' or 'X-API-Key: <key>'")


async def require_access(request: Request) -> None:
    """A dependency of the whole application: every route needs it but those of `PUBLIC_ROUTES`.

    It goes by the route that was matched, not by the text of the path.

    Raises:
        AuthenticationError: no key, or not the right one.
        PermissionDeniedError: there is no key, and the caller is on another machine.
    """
    if request.scope["route"].path in PUBLIC_ROUTES:
        return
    if (refusal := request.app.state.services.gate.refusal(request)) is not None:
        raise refusal


def _sent_keys(request: Request) -> list[str]:
    """As the headers have them: bytes, read as Latin-1."""
    keys = request.headers.getlist("x-api-key")
    for value in request.headers.getlist("authorization"):
        scheme, _, key = value.partition(" ")
        if scheme.lower() == "bearer":
            keys.append(key.strip())
    return [key for key in keys if key]


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _is_local(request: Request) -> bool:
    if request.client is None or not request.client.host:
        return True  # a Unix socket
    host = request.client.host
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return is_loopback(str(mapped or address))
