"""Routes that are called without FastAPI's solver are checked, held and found as all others."""

from collections.abc import AsyncIterator
from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from hostler.keys import Scope
from hostler.server.auth import needs
from hostler.server.direct_route import DirectPaths, DirectRoute
from tests.server.conftest import serving

events: list[str] = []


async def word(request: Request) -> str:
    return request.headers["x-word"]


async def doubled(name: str) -> str:
    return name * 2


async def held(request: Request) -> AsyncIterator[None]:
    events.append("begun")
    try:
        yield
    finally:
        events.append(f"ended after {request.method}")


router = APIRouter(
    route_class=DirectRoute, dependencies=[needs(Scope.INFERENCE), Depends(held)], include_in_schema=False
)


@router.post("/direct")
async def direct(request: Request, word: Annotated[str, Depends(word)]) -> Response:
    events.append("called")
    return Response(f"{request.method} {word}")


@router.post("/direct/{name}")
async def direct_with(name: Annotated[str, Depends(doubled)]) -> Response:
    return Response(name)


async def test_what_it_depends_on_is_given_and_held_until_the_answer_is_complete() -> None:
    async with serving() as served:
        served.app.include_router(router)
        events.clear()
        answer = await served.client.post("/direct", headers={"x-word": "hay"})
        assert (answer.status_code, answer.text) == (200, "POST hay")
        assert events == ["begun", "called", "ended after POST"]
        assert (await served.client.post("/direct/ab")).text == "abab"


async def test_another_method_is_refused_and_an_unknown_path_is_left_to_the_router() -> None:
    async with serving() as served:
        served.app.include_router(router)
        found = DirectPaths(served.app.router.middleware_stack, router.routes)
        served.app.router.middleware_stack = found
        answer = await served.client.get("/direct")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        assert (await served.client.post("/direct", headers={"x-word": "oats"})).text == "POST oats"
        assert (await served.client.get("/health")).status_code == 200
        assert (await served.client.post("/nowhere")).status_code == 404


async def test_nothing_of_it_is_called_without_a_key() -> None:
    async with serving(api_key="secret") as served:
        served.app.include_router(router)
        events.clear()
        assert (await served.client.post("/direct", headers={"x-word": "hay"})).status_code == 401
        assert events == []


async def test_a_route_that_names_no_scope_is_closed() -> None:
    unnamed = APIRouter(route_class=DirectRoute, include_in_schema=False)

    @unnamed.post("/unnamed")
    async def answer() -> Response:
        return Response("open")

    async with serving() as served:
        served.app.include_router(unnamed)
        assert (await served.client.post("/unnamed")).status_code == 403


def test_a_dependency_that_would_need_a_thread_or_a_query_is_refused_when_the_route_is_made() -> None:
    def in_a_thread(request: Request) -> None:
        """Not a coroutine."""

    async def of_the_query(size: int) -> None:
        """`size` is not in the path."""

    for dependency in (in_a_thread, of_the_query):
        with pytest.raises(TypeError, match="DirectRoute"):
            APIRouter(route_class=DirectRoute).post("/x", dependencies=[Depends(dependency)])(direct)
