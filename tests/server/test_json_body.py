from collections.abc import AsyncIterator

import pytest

from hostler.errors import InvalidRequestError
from hostler.server.json_body import MAX_DEPTH, parse_json
from tests.server.conftest import Served, serving

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    "content", [b"", b"{", b"NaN", b'{"a":Infinity}', b"\xff", b'"\\ud800"', b"[1e999]", b"[" * 100_000, b"{} {}"]
)
def test_what_is_no_json_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        parse_json(content)


def test_depth_is_bounded() -> None:
    parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    with pytest.raises(InvalidRequestError, match="levels deep"):
        parse_json(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))


def test_brackets_in_strings_and_side_by_side_are_not_depth() -> None:
    assert parse_json(b'"' + b"[{" * 500 + b'\\"["') == "[{" * 500 + '"['
    assert parse_json(b"[" + b"[]," * 500 + b"[]]") == [[]] * 501


@pytest.mark.parametrize("path", ["/v1/completions", "/generate"])
async def test_a_body_beyond_the_bound_is_a_413(path: str) -> None:
    async with serving(max_body_bytes=1000) as served:
        announced = await served.client.post(path, json={"text": "x" * 2000})
        assert announced.status_code == 413

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield b" " * 100

        unannounced = await served.client.post(path, content=chunks(), headers=JSON)
        assert unannounced.status_code == 413
        body = unannounced.json()
        assert (body["error"] if path == "/v1/completions" else body)["code"] == "request_too_large"


@pytest.mark.parametrize("content", [b'{"text": NaN}', b"[" * 500, b"{", b""])
async def test_broken_json_is_a_400_on_both_interfaces(served: Served, content: bytes) -> None:
    native = await served.client.post("/generate", content=content, headers=JSON)
    assert (native.status_code, native.json()["code"]) == (400, "invalid_value")
    openai = await served.client.post("/v1/completions", content=content, headers=JSON)
    assert (openai.status_code, openai.json()["error"]["code"]) == (400, "invalid_value")


async def test_a_form_is_told_which_header_to_send(served: Served) -> None:
    response = await served.client.post("/generate", content=b'{"text":"a"}', headers={"content-type": "text/plain"})
    assert response.status_code == 400
    assert "Content-Type: application/json" in response.json()["detail"]


async def test_a_body_that_is_no_object_is_refused(served: Served) -> None:
    openai = await served.client.post("/v1/completions", json=[1])
    assert (openai.status_code, openai.json()["error"]["message"]) == (400, "Input should be a JSON object")
    assert (await served.client.post("/generate", json=[1])).status_code == 422


async def test_an_optional_body_may_be_absent_null_or_empty(served: Served) -> None:
    for content in (b"", b"null", b"{}"):
        response = await served.client.post("/models/tiny-text/load", content=content, headers=JSON)
        assert response.status_code == 200


async def test_a_validation_error_lists_few_problems_and_short_inputs(served: Served) -> None:
    response = await served.client.post("/generate", json={f"{i}" + "k" * 1000: "v" * 1000 for i in range(100)})
    assert response.status_code == 422
    assert len(response.json()["detail"]) == 10
    assert len(response.content) < 10 * 1500
