import itertools
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from hostler.config import Settings
from hostler.keys import Key, Scope, digest_of
from hostler.keys_file import changing
from hostler.server.auth import PUBLIC_ROUTES, scope_of
from hostler.testing.worker import FakeLauncher
from tests.server.conftest import Served, make_app, serving
from tests.server.test_openai import CHAT
from tests.server.test_streaming import until

KEY = "s3cret-kéy"
SCOPES = {
    Scope.READ: {
        *("/", "/docs", "/redoc", "/openapi.json", "/docs/assets/{name}", "/metrics", "/system", "/auth/status"),
        *("/models", "/models/loaded", "/models/gated", "/models/types/{model_type}", "/v1/models"),
        *("/v1/models/{model_id}", "/models/{model_id}/info", "/models/{model_id}/capabilities"),
        *("/models/{model_id}/plan", "/models/{model_id}/events", "/models/{model_id}/health", "/events"),
    },
    Scope.ADMIN: {"/models/{model_id}/load", "/models/{model_id}/unload"},
}
"""Besides, those under `/admin/` are for administrators. All others ask a model for something."""


def add_key(path: Path, name: str, *scopes: Scope, models: tuple[str, ...] | None = None) -> dict[str, str]:
    """Headers with a new key of a file."""
    with changing(path) as keys:
        keys[name] = Key(name=name, digest=digest_of(f"{name}-key".encode()), scopes=frozenset(scopes), models=models)
    return {"authorization": f"Bearer {name}-key"}


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    return tmp_path / "keys.yaml"


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
        health = {("GET", path, 200) for path in ("/health", "/health/live", "/health/ready")}
        assert open_ones == health | {("GET", "/playground", 200), ("GET", "/playground/tiny-text", 404)}
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


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("x-forwarded-for", "203.0.113.5")], 403),
        ([("x-forwarded-for", "127.0.0.1, 203.0.113.5")], 403),
        ([("x-forwarded-for", "127.0.0.1"), ("x-forwarded-for", "203.0.113.5")], 403),
        ([("x-real-ip", "2001:db8::1")], 403),
        ([("x-forwarded-for", "unknown")], 403),
        ([("x-forwarded-for", "127.0.0.1, ::1"), ("x-real-ip", "127.0.0.1")], 200),
    ],
)
async def test_a_proxy_on_this_machine_lets_nobody_else_in_where_there_is_no_key(
    headers: list[tuple[str, str]], status: int
) -> None:
    async with serving(client_host="127.0.0.1") as served:
        assert (await served.client.get("/models", headers=headers)).status_code == status
    async with serving(client_host="127.0.0.1", insecure_no_auth=True) as served:
        assert (await served.client.get("/models", headers=headers)).status_code == 200


def test_every_route_but_the_public_ones_says_which_scope_it_asks_for() -> None:
    app, _ = make_app(FakeLauncher(), Settings())
    expected = {path: scope for scope, paths in SCOPES.items() for path in paths}
    seen = set()
    for context in iter_route_contexts(app.routes):
        path = context.path_format or ""
        if path not in PUBLIC_ROUTES:
            usual = Scope.ADMIN if path.startswith("/admin/") else Scope.INFERENCE
            assert scope_of(context.original_route) is expected.get(path, usual), path
            seen.add(path)
    assert seen >= set(expected)


def route_that_names_no_scope(app: FastAPI) -> str:
    @app.get("/forgotten", include_in_schema=False)
    async def forgotten() -> str:
        return "open"

    return "/forgotten"


@pytest.mark.parametrize("settings", [{}, {"insecure_no_auth": True}, {"api_key": KEY}])
async def test_a_route_that_names_no_scope_is_closed_to_everybody(settings: dict[str, Any]) -> None:
    async with serving(**settings) as served:
        path = route_that_names_no_scope(served.app)
        response = await served.client.get(path, headers=[(b"x-api-key", KEY.encode())])
        assert response.status_code == 403
        assert "names no scope" in response.json()["detail"]


@pytest.mark.parametrize("scope", Scope)
async def test_a_key_opens_the_routes_of_its_scope_and_no_others(keys_file: Path, scope: Scope) -> None:
    key = add_key(keys_file, "one", scope)
    async with serving(keys_file=keys_file) as served:
        for context in iter_route_contexts(served.app.routes):
            asked = scope_of(context.original_route)
            for method in context.methods or ():
                if asked is None or context.path_format in PUBLIC_ROUTES:
                    continue
                path = (context.path_format or "").replace("{model_type}", "text").replace("{name}", "swagger.js")
                # Not JSON, and no model: what is let in does no work.
                path = path.replace("{model_id}", "none")
                if path == "/events" or (method, path) == ("POST", "/admin/unload-all"):
                    continue
                response = await served.client.request(method, path, headers=key, content=b"-")
                assert (response.status_code == 403) is (asked is not scope), (method, path)
                assert response.status_code != 401


async def test_a_refusal_names_the_scope_and_the_key_that_lacks_it(keys_file: Path) -> None:
    key = add_key(keys_file, "reader", Scope.READ)
    async with serving(keys_file=keys_file) as served:
        response = await served.client.post("/v1/chat/completions", json=CHAT, headers=key)
    assert response.status_code == 403
    assert response.json()["error"]["code"] == "permission_denied"
    assert "'reader' has not the scope 'inference'" in response.json()["error"]["message"]


async def test_a_key_for_some_models_sees_and_uses_these_alone(keys_file: Path) -> None:
    key = add_key(keys_file, "some", Scope.INFERENCE, Scope.READ, models=("tiny-*",))
    all_of = add_key(keys_file, "all", Scope.INFERENCE, Scope.READ)
    async with serving(keys_file=keys_file) as served:
        get = served.client.get
        await served.client.post("/models/other-text/generate", json={"text": "a"}, headers=all_of)
        seen = ["tiny-chat", "tiny-text", "tiny-gated"]
        assert list((await get("/models", headers=key)).json()) == seen
        assert [row["id"] for row in (await get("/v1/models", headers=key)).json()["data"]] == seen
        assert (await get("/models/types/text", headers=key)).json()["models"] == ["tiny-text"]
        assert (await get("/models/loaded", headers=key)).json()["loaded_models"] == []
        assert (await get("/models/loaded", headers=all_of)).json()["loaded_models"] == ["other-text"]
        health = (await get("/health", headers=key)).json()
        assert (health["loaded_models"], health["current_model"], health["total_models_available"]) == ([], None, 3)
        for path in ("/events", "/metrics"):
            assert (await get(path, headers=key)).status_code == 403
            assert (await get(path, headers=all_of)).status_code == 200
        for name in ("other-text", "acme/Other", "acme%2fother"):
            for path in (f"/models/{name}/info", f"/v1/models/{name}", f"/models/{name}/events"):
                assert (await get(path, headers=key)).status_code == 404, path
                assert (await get(path, headers=all_of)).status_code == 200, path
        chat = CHAT | {"model": "tiny-chat"}
        assert (await served.client.post("/v1/chat/completions", json=chat, headers=key)).status_code == 200


async def test_a_model_that_a_key_is_not_for_looks_like_one_that_does_not_exist(keys_file: Path) -> None:
    key = add_key(keys_file, "some", Scope.INFERENCE, models=("tiny-*",))
    async with serving(keys_file=keys_file) as served:
        told = []
        for name in ("other-text", "otter-text"):
            response = await served.client.post("/v1/chat/completions", json=CHAT | {"model": name}, headers=key)
            assert response.status_code == 404
            assert response.json()["error"]["code"] == "model_not_found"
            told.append(response.json()["error"]["message"].replace(name, "NAME"))
        assert told[0] == told[1]
        assert served.launcher.workers == []


async def test_a_key_without_a_model_for_a_route_gets_none_of_the_others(keys_file: Path) -> None:
    key = add_key(keys_file, "some", Scope.INFERENCE, models=("tiny-chat",))
    async with serving(keys_file=keys_file, default_model="other-text") as served:
        assert (await served.client.post("/generate", json={"text": "a"}, headers=key)).status_code == 404
        assert (await served.client.post("/chat", json={"message": "a"}, headers=key)).status_code == 200


@pytest.mark.parametrize(
    ("settings", "status"), [({}, 200), ({"api_key": KEY}, 401), ({"api_key": KEY, "public_docs": True}, 200)]
)
async def test_the_documentation_is_closed_once_there_is_a_key_and_open_where_that_is_configured(
    settings: dict[str, Any], status: int
) -> None:
    async with serving(**settings) as served:
        for path in ("/docs", "/redoc", "/openapi.json", "/docs/assets/swagger.js"):
            assert (await served.client.get(path)).status_code == status


async def test_a_reload_takes_up_new_keys(keys_file: Path) -> None:
    admin = add_key(keys_file, "admin", Scope.ADMIN)
    async with serving(keys_file=keys_file) as served:
        late = add_key(keys_file, "late", Scope.READ)
        assert (await served.client.get("/models", headers=late)).status_code == 401
        assert (await served.client.post("/admin/reload-config", headers=admin)).status_code == 200
        assert (await served.client.get("/models", headers=late)).status_code == 200


async def test_the_first_key_that_is_made_closes_a_running_server_by_itself(
    keys_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hostler.watching.INTERVAL_S", 0.001)
    async with serving(keys_file=keys_file) as served:
        assert (await served.client.get("/models")).status_code == 200
        key = add_key(keys_file, "first", Scope.READ)
        await until(lambda: served.services.gate.keyring.is_needed)
        assert (await served.client.get("/models")).status_code == 401
        assert (await served.client.get("/models", headers=key)).status_code == 200


@pytest.mark.parametrize(("settings", "is_warned"), [({}, 0), ({"api_key": KEY, "insecure_no_auth": True}, 0)])
async def test_a_server_without_a_door_says_so_at_each_start(
    caplog: pytest.LogCaptureFixture, settings: dict[str, Any], is_warned: int
) -> None:
    async with serving(**settings):
        pass
    assert caplog.text.count("insecure_no_auth") == is_warned
    async with serving(insecure_no_auth=True):
        pass
    assert caplog.text.count("insecure_no_auth") == 1


async def test_the_log_names_the_key_and_never_shows_it(keys_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = add_key(keys_file, "alice", Scope.READ)
    with caplog.at_level("DEBUG"):
        async with serving(keys_file=keys_file) as served:
            await served.client.get("/models", headers=key)
            await served.client.get("/models", headers={"x-api-key": "another-key"})
    assert "key=alice" in caplog.text
    assert "alice-key" not in caplog.text
    assert "another-key" not in caplog.text
