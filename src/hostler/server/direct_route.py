"""Routes that are called without FastAPI's solver of dependencies, which takes longer than all the rest of a request.

They are declared, documented and closed like all others. What they depend on has to be what this knows: coroutine
functions, or asynchronous generators, of the request and of parameters of the path.
"""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import Any

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import HTTPException
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from hostler.server.auth import Needs, require_access


@dataclass(frozen=True)
class _Call:
    """The endpoint, or what it depends on."""

    function: Callable[..., Any]
    name: str | None
    """The endpoint's parameter that it is for; `None`: for none."""
    request_name: str | None
    """Its own parameter that is the request."""
    path_names: tuple[str, ...]
    """Those that are in the path."""
    is_held: bool
    """Whether it gives a context, which ends when the answer is complete, and not a coroutine."""

    def arguments(self, request: Request) -> dict[str, Any]:
        path_params = request.scope["path_params"]
        found = {name: path_params[name] for name in self.path_names}
        if self.request_name is not None:
            found[self.request_name] = request
        return found


class DirectRoute(APIRoute):
    """`route_class` of a router whose endpoints return a `Response`."""

    def __init__(self, path: str, endpoint: Callable[..., Awaitable[Response]], **declared: Any) -> None:
        super().__init__(path, endpoint, **declared)
        self._calls = [_call_of(each) for each in self.dependant.dependencies if not isinstance(each.call, Needs)]
        self._endpoint = _call_of(self.dependant)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.methods is not None
        if scope["method"] not in self.methods:
            raise HTTPException(405, headers={"Allow": ", ".join(self.methods)})
        request = Request(scope, receive, send)
        await require_access(request)
        async with AsyncExitStack() as stack:
            arguments = self._endpoint.arguments(request)
            for call in self._calls:
                begun = call.function(**call.arguments(request))
                given = await (stack.enter_async_context(begun) if call.is_held else begun)
                if call.name is not None:
                    arguments[call.name] = given
            response = await self._endpoint.function(**arguments)
            await response(scope, receive, send)


class DirectPaths:
    """ASGI middleware around a router: finds routes without parameters in their path by one look, and leaves all others
    to the router, which tries one after the other."""

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        self._app = app
        self._routes = {
            (method, route.path): route
            for route in routes
            if isinstance(route, DirectRoute) and not route.param_convertors
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["path"].removeprefix(scope.get("root_path", ""))
            if (route := self._routes.get((scope["method"], path))) is not None:
                scope["route"] = route
                scope["path_params"] = {}
                await route.handle(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _call_of(dependant: Dependant) -> _Call:
    """
    Raises:
        TypeError: it takes something else than the request and parameters of the path, or would need a thread.
    """
    function = dependant.call
    assert function is not None
    unknown = [*dependant.query_params, *dependant.header_params, *dependant.cookie_params, *dependant.body_params]
    is_held = isasyncgenfunction(function)
    is_awaited = iscoroutinefunction(function) or iscoroutinefunction(type(function).__call__)
    if unknown or not (is_awaited or is_held):
        raise TypeError(f"{function} is no coroutine, or takes other parameters than a DirectRoute knows")
    return _Call(
        function=asynccontextmanager(function) if is_held else function,
        name=dependant.name,
        request_name=dependant.request_param_name,
        path_names=tuple(param.name for param in dependant.path_params),
        is_held=is_held,
    )
