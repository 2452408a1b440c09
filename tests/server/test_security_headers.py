"""What browsers are told about every answer."""

import pytest

from tests.server.conftest import serving
from tests.server.test_openai import CHAT

PATHS = [
    *("/", "/health", "/models", "/docs", "/redoc", "/docs/assets/swagger.js"),
    *("/nowhere", "/playground"),
]


@pytest.mark.parametrize("path", PATHS)
async def test_no_answer_is_sniffed_framed_or_told_on(path: str) -> None:
    async with serving() as served:
        headers = (await served.client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/playground"])
async def test_pages_run_scripts_of_this_server_alone(path: str) -> None:
    async with serving() as served:
        answer = await served.client.get(path)
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["script-src"] == "'self'"
    assert policy["connect-src"] == "'self'"
    assert policy["base-uri"] == policy["form-action"] == "'none'"
    assert "<script>" not in answer.text
    assert "onload=" not in answer.text


async def test_what_is_told_to_a_key_is_not_stored_on_the_way() -> None:
    async with serving(api_key="k", public_docs=True) as served:
        key = {"authorization": "Bearer k"}
        for answer in (
            await served.client.get("/models", headers=key),
            await served.client.post("/v1/chat/completions", json=CHAT, headers=key),
            await served.client.post("/v1/chat/completions", json=CHAT | {"stream": True}, headers=key),
            await served.client.post("/v1/chat/completions", json={}, headers=key),
        ):
            assert answer.headers["cache-control"] == "no-store"
        assert (await served.client.get("/docs/assets/swagger.js")).headers["cache-control"] == "max-age=86400"


@pytest.mark.parametrize("origins", [["*"], ["http://app.example"]])
async def test_no_page_is_let_in_with_credentials(origins: list[str]) -> None:
    async with serving(cors_origins=origins) as served:
        asks = {"origin": "http://app.example", "access-control-request-method": "POST"}
        preflight = await served.client.options("/v1/chat/completions", headers=asks)
        answer = await served.client.post("/v1/chat/completions", json=CHAT, headers={"origin": "http://app.example"})
    for response in (preflight, answer):
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] in origins
        assert "access-control-allow-credentials" not in response.headers


async def test_without_configuration_no_page_elsewhere_is_let_in() -> None:
    async with serving() as served:
        asks = {"origin": "http://app.example", "access-control-request-method": "POST"}
        preflight = await served.client.options("/v1/chat/completions", headers=asks)
    assert preflight.status_code == 403
    assert "access-control-allow-origin" not in preflight.headers
