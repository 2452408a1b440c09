"""Keeps web pages out: checks of the `Host` and `Origin` headers.

A page can make a browser call a server on loopback, under a name of the page's own (DNS rebinding) or with a plain
form. Neither can it choose the `Host` header, nor leave out `Origin` where it matters.
"""

import ipaddress
import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from hostler.config import Settings
from hostler.errors import InvalidRequestError, PermissionDeniedError, RequestError
from hostler.server.errors import error_response

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")


class OriginGuard:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._names = {"localhost", settings.host.lower(), *(name.lower() for name in settings.allowed_hosts)}
        self._origins = {origin.rstrip("/").lower() for origin in settings.cors_origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (refusal := self._refusal(scope)) is not None:
            await error_response(refusal, scope)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> RequestError | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if not hosts and scope.get("http_version") == "1.0":
            return None  # too old to have the header, and no browser
        match = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if match is None:
            return InvalidRequestError("the Host header is missing or malformed")
        if not self._is_own_name(match["name"].lower()):
            return PermissionDeniedError(
                f"this server does not answer to the name {match['name'][:200]!r}; add it to ALLOWED_HOSTS"
            )
        return self._check_origin(headers.get("origin"), hosts[0])

    def _is_own_name(self, name: str) -> bool:
        if "*" in self._names or name in self._names:
            return True
        try:
            # A page is reached by its name, so a bare address is never the name of a page that was rebound.
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True

    def _check_origin(self, origin: str | None, host: str) -> RequestError | None:
        if origin is None or "*" in self._origins or origin.lower() in self._origins:
            return None
        if origin.lower().partition("://")[2] == host.lower():
            return None
        return PermissionDeniedError(
            f"pages of the origin {origin[:200]!r} may not use this server; add it to CORS_ORIGINS"
        )
