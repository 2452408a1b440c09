import gzip
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hostler.errors import InvalidRequestError
from hostler.server.json_body import MAX_DEPTH, MAX_NODES, parse_json
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


@pytest.mark.parametrize("node", [b"{}", b"[]"])
def test_lists_and_objects_are_bounded_together(node: bytes) -> None:
    parse_json(b"[" + b",".join([node] * (MAX_NODES - 1)) + b"]")
    with pytest.raises(InvalidRequestError, match="send less in one request"):
        parse_json(b"[" + b",".join([node] * MAX_NODES) + b"]")


def test_fields_of_objects_are_bounded_with_them() -> None:
    fields = [b'"%d":0' % number for number in range(MAX_NODES)]
    parse_json(b"{" + b",".join(fields[:-1]) + b"}")
    with pytest.raises(InvalidRequestError, match="send less in one request"):
        parse_json(b"{" + b",".join(fields) + b"}")


def test_texts_and_numbers_may_fill_a_body() -> None:
    text = "[{:" * MAX_NODES
    assert parse_json(b'["' + text.encode() + b'"]') == [text]
    assert len(parse_json(b"[" + b",".join([b"5"] * 2 * MAX_NODES) + b"]")) == 2 * MAX_NODES


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


async def test_what_is_compressed_is_refused_by_the_name_of_its_compression(served: Served) -> None:
    headers = {**JSON, "content-encoding": "gzip"}
    refused = await served.client.post("/generate", content=gzip.compress(b'{"text": "a"}'), headers=headers)
    assert refused.status_code == 400
    assert "Content-Encoding: gzip" in refused.json()["detail"]
    plain = await served.client.post(
        "/generate", content=b'{"text": "a"}', headers={**JSON, "content-encoding": "identity"}
    )
    assert plain.status_code == 200


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


@pytest.mark.parametrize("letter", ["k", "é", "🐎", "\x00"])
@pytest.mark.parametrize("num_fields", [1, 3, 100])
async def test_a_validation_error_lists_few_problems_and_echoes_little(
    letter: str, num_fields: int, served: Served
) -> None:
    body = {f"{i}" + letter * 1000: letter * 1000 for i in range(num_fields)} | {"do_sample": letter * 1000}
    for path in ("/generate", "/v1/completions"):
        content = (await served.client.post(path, json=body)).text
        assert content.count("Unknown field") <= 10
        assert len((letter * content.replace("\\u0000", letter).count(letter)).encode()) <= 1024


LARGE = 2**19
MESSAGE = {"role": "user", "content": "hi"}


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {f"k{i}": 1 for i in range(LARGE)}),
        ("/v1/completions", {"prompt": "a", "logit_bias": {f"{i}": "x" for i in range(LARGE)}}),
        ("/v1/completions", {"prompt": [[1]] * LARGE}),
        ("/v1/completions", {"prompt": "a", "stop": [1] * LARGE}),
        ("/v1/completions", {"prompt": "a", "stop_token_ids": ["x"] * LARGE}),
        ("/v1/chat/completions", {"messages": [1] * LARGE}),
        ("/v1/chat/completions", {"messages": [MESSAGE] * 100_000}),
        ("/v1/chat/completions", {"messages": [MESSAGE | {f"k{i}": 1 for i in range(200)}] * 2000}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": [{}] * LARGE}]}),
        ("/v1/chat/completions", {"messages": [{"role": "assistant", "tool_calls": [1] * LARGE}]}),
    ],
)
async def test_a_body_with_very_many_mistakes_costs_no_more_than_one_with_a_few(
    path: str, body: dict[str, Any], served: Served
) -> None:
    # Each of these once held up the event loop for up to a minute; the limit above is far beyond what it takes now.
    response = await served.client.post(path, json={"model": "tiny-chat"} | body)
    assert response.status_code == 400
    assert len(response.content) < 1024


NESTED = {"messages": [MESSAGE | {"mood": "gay"}], "stream_options": {"continuous": True}, "stream": True}


async def test_unknown_fields_are_refused_by_name(served: Served) -> None:
    native = await served.client.post("/generate", json={"text": "a", "temprature": 1})
    assert native.status_code == 422
    assert native.json()["detail"][0]["loc"] == ["body", "temprature"]
    openai = await served.client.post("/v1/chat/completions", json={"model": "tiny-chat"} | NESTED)
    assert (openai.status_code, openai.json()["error"]["param"]) == (400, "messages")
    assert "mood" in openai.json()["error"]["message"]


@pytest.mark.parametrize(
    ("field", "value", "where"),
    [
        ("response_format", {"type": "json_schema", "json_schema": {}}, "response_format.json_schema.name: Field"),
        ("response_format", {"type": "json_schema"}, "response_format.json_schema: Field"),
        ("tool_choice", {"type": "function"}, "tool_choice.function: Field"),
        (
            "tool_choice",
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto"}},
            "tool_choice.allowed_tools.tools",
        ),
        ("messages", [{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0].text: Field"),
        ("messages", [{"role": "assistant"}], "messages[0].content: "),
        ("stop", ["a", 1], "stop[1]: "),
    ],
)
async def test_a_problem_is_told_with_its_place_in_the_body(
    field: str, value: object, where: str, served: Served
) -> None:
    body = {"model": "tiny-chat", "messages": [MESSAGE], field: value}

    error = (await served.client.post("/v1/chat/completions", json=body)).json()["error"]

    assert error["message"].startswith(where)
    assert error["param"] == field


async def test_unknown_fields_may_be_ignored_and_are_then_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "hostler.server.json_body")
    headers = {"x-request-id": "r1"}
    async with serving(unknown_fields="ignore") as served:
        unknown = {"sparkle": "secret", "x" * 1000: 1, "two\nlines": 2}
        chat = {"model": "tiny-chat", **NESTED, **unknown}
        assert (await served.client.post("/v1/chat/completions", json=chat, headers=headers)).status_code == 200
        assert (await served.client.post("/generate", json={"text": "a", "user": "me"})).status_code == 200
    first, second = [record.getMessage() for record in caplog.records]
    names = f"'mood','sparkle','two\\nlines','{'x' * 40}'"
    assert first == f"unknown_fields_ignored request_id=r1 fields={names}"
    assert second.endswith("fields='user'")


async def test_where_unknown_fields_are_ignored_known_ones_are_as_strict_as_ever() -> None:
    async with serving(unknown_fields="ignore") as served:
        for wrong in ({"n": "2"}, {"suffix": "x"}, {"best_of": 0}):
            body = {"model": "tiny-text", "prompt": "a", "sparkle": 1} | wrong
            response = await served.client.post("/v1/completions", json=body)
            assert (response.status_code, response.json()["error"]["param"]) == (400, next(iter(wrong)))
