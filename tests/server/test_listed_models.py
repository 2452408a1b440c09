"""`/v1/models` in Anthropic's form, against the types and the client of Anthropic. OpenAI's has tests of its own."""

from typing import Any

import anthropic
import pytest
from anthropic.types import ModelInfo
from anthropic.types.shared import ErrorResponse

from tests.server.conftest import Served
from tests.server.test_anthropic import WHERE_THE_TYPES_ARE_SHORT, client_of
from tests.server.test_openai_types import violations

PATH = "/v1/models"
HEADERS = {"anthropic-version": "2023-06-01"}
IDS = ["tiny-chat", "tiny-text", "other-text", "tiny-gated"]


async def page(served: Served, **query: Any) -> dict[str, Any]:
    response = await served.client.get(PATH, headers=HEADERS, params=query)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


async def test_models_are_anthropics_type(served: Served) -> None:
    body = await page(served)
    assert set(body) == {"data", "first_id", "last_id", "has_more"}
    assert [violations(ModelInfo, row) for row in body["data"]] == [set()] * len(IDS)
    assert all(set(row) == set(ModelInfo.model_fields) for row in body["data"])
    assert [row["id"] for row in body["data"]] == IDS
    first = body["data"][0]
    assert (first["display_name"], first["max_input_tokens"]) == ("acme/Tiny-Chat", 1024)


async def test_a_model_is_described_as_it_is_listed(served: Served) -> None:
    (first,) = (await page(served, limit=1))["data"]
    for name in ("tiny-chat", "acme/Tiny-Chat", "acme%2FTiny-Chat"):
        response = await served.client.get(f"{PATH}/{name}", headers=HEADERS)
        assert response.json() == first
        assert response.headers["request-id"] == response.headers["x-request-id"]


async def test_without_the_header_the_form_is_openais_whatever_the_query(served: Served) -> None:
    response = await served.client.get(PATH, params={"limit": 1, "after_id": "tiny-chat"})
    assert set(response.json()) == {"object", "data"}
    assert [row["id"] for row in response.json()["data"]] == IDS
    assert response.headers["vary"] == "anthropic-version"


@pytest.mark.parametrize(
    ("query", "ids", "has_more"),
    [
        ({}, IDS, False),
        ({"limit": 3}, IDS[:3], True),
        ({"limit": 4}, IDS, False),
        ({"after_id": "tiny-chat", "limit": 2}, IDS[1:3], True),
        ({"after_id": "tiny-text", "limit": 2}, IDS[2:], False),
        ({"after_id": "tiny-gated"}, [], False),
        ({"before_id": "tiny-gated", "limit": 2}, IDS[1:3], True),
        ({"before_id": "other-text", "limit": 2}, IDS[:2], False),
        ({"before_id": "tiny-chat"}, [], False),
        ({"lifecycle[]": ["retired", "active"]}, IDS, False),
        ({"lifecycle[]": ["retired"]}, [], False),
    ],
)
async def test_a_page_is_what_is_next_to_the_one_named(
    query: dict[str, Any], ids: list[str], has_more: bool, served: Served
) -> None:
    body = await page(served, **query)
    assert [row["id"] for row in body["data"]] == ids
    assert body["has_more"] is has_more
    assert (body["first_id"], body["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None))


async def test_the_client_goes_through_all_pages_either_way(served: Served) -> None:
    async with client_of(served) as client:
        assert [model.id async for model in client.models.list(limit=1)] == IDS
        assert [model.id async for model in client.models.list(limit=1, before_id="tiny-gated")] == IDS[2::-1]
        assert [model.id async for model in client.models.list(lifecycle=["retired"])] == []
        assert (await client.models.retrieve("acme/Tiny-Chat")).id == "tiny-chat"


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"after_id": "nobody"}, "after_id"),
        ({"before_id": "nobody"}, "before_id"),
        ({"before_id": "tiny-text", "after_id": "tiny-chat"}, "before_id"),
        ({"lifecycle[]": ["young"]}, "lifecycle[]"),
    ],
)
async def test_a_query_that_cannot_be_is_anthropics_error_and_names_the_field(
    query: dict[str, Any], param: str, served: Served
) -> None:
    response = await served.client.get(PATH, headers=HEADERS, params=query)
    assert response.status_code == 400
    assert violations(ErrorResponse, response.json()) <= WHERE_THE_TYPES_ARE_SHORT
    assert param in response.json()["error"]["message"]


async def test_an_unknown_model_is_the_clients_not_found(served: Served) -> None:
    async with client_of(served) as client:
        with pytest.raises(anthropic.NotFoundError) as caught:
            await client.models.retrieve("tiny-chta")
    assert caught.value.type == "not_found_error"
    assert "tiny-chat" in caught.value.message
