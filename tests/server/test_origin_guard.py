from typing import Any

import pytest

from tests.server.conftest import Served, serving


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8000", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("192.168.1.5", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("", 400),
        ("a b", 400),
        ("localhost/v1/models?", 400),
        ("localhost:80:80", 400),
        ("[::1", 400),
    ],
)
async def test_a_name_that_is_not_its_own_is_refused(served: Served, host: str, status: int) -> None:
    response = await served.client.get("/health/live", headers={"host": host})
    assert response.status_code == status


async def test_names_can_be_allowed() -> None:
    async with serving(allowed_hosts=["Models.example"], host="box.example", insecure_no_auth=True) as served:
        for host, status in (("models.example", 200), ("box.example:8000", 200), ("other.example", 403)):
            assert (await served.client.get("/", headers={"host": host})).status_code == status
    async with serving(allowed_hosts=["*"]) as served:
        assert (await served.client.get("/", headers={"host": "any.example"})).status_code == 200


@pytest.mark.parametrize(
    ("settings", "origin", "status"),
    [
        ({}, "http://localhost", 200),
        ({}, "http://evil.example", 403),
        ({}, "http://localhost:3000", 403),
        ({}, "null", 403),
        ({"cors_origins": ["http://localhost:3000"]}, "http://localhost:3000", 200),
        ({"cors_origins": ["http://localhost:3000"]}, "http://evil.example", 403),
        ({"cors_origins": ["*"]}, "http://evil.example", 200),
    ],
)
async def test_pages_of_other_origins_are_refused(settings: dict[str, Any], origin: str, status: int) -> None:
    async with serving(**settings) as served:
        response = await served.client.post("/admin/unload-all", headers={"origin": origin})
        assert response.status_code == status


async def test_a_preflight_needs_no_key_and_is_answered_only_where_origins_are_configured() -> None:
    asked = {"origin": "http://app.example", "access-control-request-method": "POST"}
    async with serving(api_key="k", cors_origins=["http://app.example"]) as served:
        response = await served.client.options("/v1/chat/completions", headers=asked)
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == "http://app.example"
        assert "access-control-allow-credentials" not in response.headers
    async with serving() as served:
        assert (await served.client.options("/v1/chat/completions", headers=asked)).status_code == 403
