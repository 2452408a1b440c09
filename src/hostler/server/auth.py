"""Who may use the server, and for what."""

import ipaddress
from typing import Any, Final

from fastapi import Depends, Request

from hostler.config import Settings, is_loopback
from hostler.errors import AuthenticationError, HostlerError, PermissionDeniedError
from hostler.keys import Scope
from hostler.server import request_context
from hostler.server.keyring import Keyring
from hostler.server.principal import Principal, address_of

PUBLIC_ROUTES: Final = frozenset({"/health", "/health/live", "/health/ready", "/playground", "/playground/{name}"})
"""Templates of the routes that answer without a key; `/health` then says no more than its status, and the playground is
files that ask for one."""
DOCUMENTATION: Final = frozenset({"/docs", "/redoc", "/openapi.json", "/docs/assets/{name}"})
"""Public as well where `public_docs` is set."""
_FORWARDED = ("x-forwarded-for", "x-real-ip")


class Gate:
    """Lets a request in or says why not."""

    def __init__(self, settings: Settings, keyring: Keyring) -> None:
        self.keyring = keyring
        self._is_open = settings.insecure_no_auth
        self._public = PUBLIC_ROUTES | DOCUMENTATION if settings.public_docs else PUBLIC_ROUTES

    def is_public(self, path: str) -> bool:
        """`path`: the template of a route."""
        return path in self._public

    def admit(self, request: Request) -> Principal:
        """
        Raises:
            AuthenticationError: no key, or none that is valid.
            PermissionDeniedError: there are no keys, and the caller is on another machine.
        """
        address = address_of(request)
        if not self.keyring.is_needed:
            if self._is_open or _is_local(request):
                return Principal(address)
            raise PermissionDeniedError(
                "this server has no key and answers its own machine only; set API_KEY, or make a key with"
                " 'hostler keys create', to let others in"
            )
        sent = _sent_keys(request)
        key = self.keyring.find(sent)
        if key is None:
            # LiteLLM knows a wrong key by OpenAI's words for it.
            problem = "Incorrect API key provided" if sent else "an API key is needed"
            raise AuthenticationError(f"{problem}; send it as 'Authorization: Bearer <key>' or 'X-API-Key: <key>'")
        return Principal(address, key)

    def refusal(self, request: Request) -> HostlerError | None:
        """`None`: the caller would be let in."""
        try:
            self.admit(request)
        except HostlerError as exc:
            return exc
        return None


class Needs:
    """A dependency that says which scope a router, or a route, asks for; that of a route holds over its router's.

    It is only read, by `require_access`: a caller is recognised once, whatever its route says.
    """

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    async def __call__(self) -> None:
        """Nothing is left to do when this is called. FastAPI would call it in a thread if it were no coroutine."""


def needs(scope: Scope) -> Any:
    """For the `dependencies` of a router or a route."""
    return Depends(Needs(scope))


def scope_of(route: Any) -> Scope | None:
    """What a registered route asks for; `None`: it does not say."""
    dependencies = getattr(route, "dependencies", ())
    # A router's own come before those of its routes.
    stated = [each.dependency.scope for each in dependencies if isinstance(each.dependency, Needs)]
    return stated[-1] if stated else None


async def require_access(request: Request) -> None:
    """A dependency of the whole application: no route but a public one is open, and one that names no scope is closed.

    It goes by the route that was matched, not by the text of the path.

    Raises:
        AuthenticationError: no key, or none that is valid.
        PermissionDeniedError: the key has not the scope, or there are no keys and the caller is on another machine.
    """
    route = request.scope["route"]
    gate: Gate = request.app.state.services.gate
    if gate.is_public(route.path):
        return
    principal = gate.admit(request)
    scope = scope_of(route)
    if scope is None:
        raise PermissionDeniedError("this route names no scope, so it is closed; that is a mistake of the server's")
    if not principal.has(scope):
        raise PermissionDeniedError(
            f"the key {principal.name!r} has not the scope {scope.value!r}, which this needs; another key may have it"
        )
    request.state.principal = principal
    if principal.key is not None:
        request.state.key_name = principal.key.name
    request_context.begin(request, principal)


async def refuse_if_some_models(request: Request) -> None:
    """A dependency of routes that tell of all models at once.

    Raises:
        PermissionDeniedError: the key is for some of them only.
    """
    principal: Principal = request.state.principal
    if not principal.sees_all_models:
        raise PermissionDeniedError(
            f"the key {principal.name!r} is for some models, and this tells of all; ask for those of a model instead"
        )


def _sent_keys(request: Request) -> list[bytes]:
    """As the headers have them."""
    keys = []
    for name, value in request.scope["headers"]:
        if name == b"x-api-key":
            keys.append(value)
        elif name == b"authorization":
            scheme, _, key = value.partition(b" ")
            if scheme.lower() == b"bearer":
                keys.append(key.strip())
    return [key for key in keys if key]


def _is_local(request: Request) -> bool:
    hosts = [request.client.host] if request.client is not None and request.client.host else []  # none: a Unix socket
    # A proxy on this machine speaks for others, and mostly says for whom.
    for name in _FORWARDED:
        hosts += [host.strip() for value in request.headers.getlist(name) for host in value.split(",")]
    return all(map(_is_of_this_machine, hosts))


def _is_of_this_machine(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return is_loopback(str(mapped or address))
