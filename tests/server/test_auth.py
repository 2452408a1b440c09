import itertools
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts

from tests.server.conftest import Served, serving

KEY = "s3cret-kéy"


def all_paths(served: Served) -> list[tuple[str, set[str]]]:
    """Every registered path, with something in place of its parameters, and its methods."""
    found = []
    for context in iter_route_contexts(served.app.routes):
        path = context.path_format or ""
        for name in ("{model_id}", "{model_type}", "{name}"):
            path = path.replace(name, "tiny-text")
        found.append((path, set(context.methods or ())))
    return found


async def test_every_route_but_the_public_ones_needs_the_key_with_any_method() -> None:
    async with serving(api_key=KEY) as served:
        paths = all_paths(served)
        assert len(paths) > 25
        methods = ("GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE")
        open_ones = set()
        for (path, _), method in itertools.product([*paths, ("/nowhere", set())], methods):
            assert "{" not in path
            response = await served.client.request(method, path)
            if response.status_code != 401:
                open_ones.add((method, path, response.status_code))
        assert open_ones == {("GET", "/health", 200), ("GET", "/health/live", 200), ("GET", "/health/ready", 200)}
        assert served.launcher.workers == []


async def test_without_the_key_health_says_no_more_than_its_status() -> None:
    async with serving(api_key=KEY) as served:
        assert (await served.client.get("/health")).json() == {"status": "healthy"}
        headers = [(b"x-api-key", KEY.encode())]
        assert "loaded_models" in (await served.client.get("/health", headers=headers)).json()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"authorization": f"Bearer {KEY}"}, 200),
        ({"authorization": f"bearer  {KEY}"}, 200),
        ({"x-api-key": KEY}, 200),
        ({"x-api-key": "wrong", "authorization": f"Bearer {KEY}"}, 200),
        ({}, 401),
        ({"x-api-key": ""}, 401),
        ({"x-api-key": KEY[:-1]}, 401),
        ({"authorization": f"Basic {KEY}"}, 401),
        ({"authorization": KEY}, 401),
    ],
)
async def test_the_key_is_taken_from_two_headers(headers: dict[str, str], status: int) -> None:
    async with serving(api_key=KEY) as served:
        sent = [(name.encode(), value.encode()) for name, value in headers.items()]
        response = await served.client.get("/v1/models", headers=sent)
        assert response.status_code == status
        assert (await served.client.get(f"/v1/models?api_key={KEY}")).status_code == 401


async def test_a_refusal_has_the_form_of_its_interface_and_no_key_in_it() -> None:
    async with serving(api_key=KEY) as served:
        response = await served.client.get("/v1/models", headers={"x-api-key": "my-wrong-key"})
        error = response.json()["error"]
        assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_api_key")
        assert response.headers["www-authenticate"] == "Bearer"
        assert "my-wrong-key" not in response.text
        assert KEY not in response.text
        native = await served.client.get("/models")
        assert native.json()["code"] == "invalid_api_key"


async def test_the_key_is_checked_before_the_body_is_read() -> None:
    async with serving(api_key=KEY) as served:
        response = await served.client.post("/v1/completions", content=b"{not json")
        assert response.status_code == 401


@pytest.mark.parametrize(
    ("client_host", "settings", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("127.9.9.9", {}, 200),
        ("::1", {}, 200),
        ("::ffff:127.0.0.1", {}, 200),
        ("", {}, 200),
        ("192.168.1.9", {}, 403),
        ("::ffff:192.168.1.9", {}, 403),
        ("testclient", {}, 403),
        ("192.168.1.9", {"insecure_no_auth": True}, 200),
        ("127.0.0.1", {"api_key": KEY}, 401),
    ],
)
async def test_a_server_without_a_key_answers_its_own_machine_only(
    client_host: str, settings: dict[str, Any], status: int
) -> None:
    async with serving(client_host=client_host, **settings) as served:
        assert (await served.client.get("/models")).status_code == status
        assert (await served.client.get("/health/live")).status_code == 200
