"""Every answer, chunk and error against the types of OpenAI's own client, read strictly."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types import Completion, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.shared import ErrorObject
from pydantic import BaseModel, ValidationError

from hostler.errors import EngineRequestError
from tests.server.conftest import Served
from tests.server.test_openai import CHAT, COMPLETION, events

WHERE_THE_TYPES_ARE_WRONG = {
    "choices.finish_reason": "null until a choice ends; the types know completions only whole",
    "choices.logprobs.token_logprobs": "null for the first token of an echoed prompt, which nothing precedes",
    "choices.logprobs.top_logprobs": "null for the first token of an echoed prompt, which nothing precedes",
}
"""What OpenAI's server sends, clients expect, and the types of OpenAI's client do not allow."""

ENDS_LATER = {"choices.finish_reason"}
ECHOES = {"choices.logprobs.token_logprobs", "choices.logprobs.top_logprobs"}
USAGE = {"stream": True, "stream_options": {"include_usage": True}}

CHATS: list[dict[str, Any]] = [
    {},
    {"n": 3},
    {"logprobs": True},
    {"logprobs": True, "top_logprobs": 2, "n": 2},
    {"stop": ["word1"], "seed": 3, "max_completion_tokens": 2},
]
COMPLETIONS: list[tuple[dict[str, Any], set[str]]] = [
    ({}, set()),
    ({"n": 2, "prompt": ["a", "b"]}, set()),
    ({"prompt": [[1, 2], [3]]}, set()),
    ({"logprobs": 0}, set()),
    ({"logprobs": 5, "n": 2}, set()),
    ({"echo": True}, set()),
    ({"echo": True, "logprobs": 1}, ECHOES),
    ({"echo": True, "logprobs": 1, "max_tokens": 0}, ECHOES),
]


def violations(kind: type[BaseModel], body: object) -> set[str]:
    """Where a body is not what the type says, as paths without indices; also keys that the type does not have."""
    try:
        parsed = kind.model_validate_json(json.dumps(body), strict=True)
    except ValidationError as exc:
        return {".".join(part for part in error["loc"] if isinstance(part, str)) for error in exc.errors()}
    return set(unknown_keys(parsed))


def unknown_keys(parsed: BaseModel) -> Iterator[str]:
    yield from parsed.model_extra or {}
    for name in type(parsed).model_fields:
        value = getattr(parsed, name)
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, BaseModel):
                yield from (f"{name}.{key}" for key in unknown_keys(item))


@pytest.mark.parametrize("fields", CHATS)
async def test_a_whole_chat_is_openais_type(served: Served, fields: dict[str, Any]) -> None:
    response = await served.client.post("/v1/chat/completions", json=CHAT | fields)

    assert violations(ChatCompletion, response.json()) == set()


@pytest.mark.parametrize("fields", CHATS)
async def test_every_chunk_of_a_chat_is_openais_type(served: Served, fields: dict[str, Any]) -> None:
    chunks = events((await served.client.post("/v1/chat/completions", json=CHAT | fields | USAGE)).text)

    assert [violations(ChatCompletionChunk, chunk) for chunk in chunks] == [set()] * len(chunks)
    assert len({chunk["created"] for chunk in chunks}) == 1


@pytest.mark.parametrize(("fields", "exceptions"), COMPLETIONS)
async def test_a_whole_completion_is_openais_type(served: Served, fields: dict[str, Any], exceptions: set[str]) -> None:
    response = await served.client.post("/v1/completions", json=COMPLETION | fields)

    assert violations(Completion, response.json()) == exceptions
    assert exceptions <= set(WHERE_THE_TYPES_ARE_WRONG)


@pytest.mark.parametrize(("fields", "exceptions"), COMPLETIONS)
async def test_every_chunk_of_a_completion_is_openais_type(
    served: Served, fields: dict[str, Any], exceptions: set[str]
) -> None:
    chunks = events((await served.client.post("/v1/completions", json=COMPLETION | fields | USAGE)).text)

    for chunk in chunks:
        has_open_choice = any(choice["finish_reason"] is None for choice in chunk["choices"])
        assert violations(Completion, chunk) - exceptions == (ENDS_LATER if has_open_choice else set())
    assert len({chunk["created"] for chunk in chunks}) == 1


async def test_models_are_openais_type(served: Served) -> None:
    rows = (await served.client.get("/v1/models")).json()["data"]

    assert [violations(Model, row) for row in rows] == [set()] * len(rows)


@pytest.mark.parametrize(
    "fields", [{"model": "nobody"}, {"temperature": 9}, {"messages": []}, {"max_tokens": 5000}, {"tools": [{}]}]
)
async def test_a_refusal_is_openais_error_with_all_four_keys(served: Served, fields: dict[str, Any]) -> None:
    body = (await served.client.post("/v1/chat/completions", json=CHAT | fields)).json()

    assert violations(ErrorObject, body["error"]) == set()
    assert set(body["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("path", "fields", "kind"),
    [("/v1/chat/completions", CHAT, ChatCompletionChunk), ("/v1/completions", COMPLETION, Completion)],
)
async def test_an_error_inside_a_stream_is_openais_error_and_the_last_event(
    served: Served, path: str, fields: dict[str, Any], kind: type[BaseModel]
) -> None:
    model = served.launcher.model(fields["model"])
    model.generation_error, model.num_free_words = EngineRequestError("a fault"), 1
    *chunks, last = events((await served.client.post(path, json=fields | USAGE)).text)

    assert all(violations(kind, chunk) <= ENDS_LATER for chunk in chunks)
    assert all(choice["finish_reason"] is None for chunk in chunks for choice in chunk["choices"])
    assert set(last) == {"error"}
    assert violations(ErrorObject, last["error"]) == set()
    assert set(last["error"]) == {"message", "type", "param", "code"}


def strict_client(served: Served) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        api_key="-",
        base_url="http://localhost/v1",
        http_client=served.client,
        max_retries=0,
        _strict_response_validation=True,
    )


async def test_a_client_that_validates_strictly_takes_every_answer(served: Served) -> None:
    async with strict_client(served) as client:
        listed = [model.id async for model in client.models.list()]
        assert (await client.models.retrieve(listed[0])).id == listed[0]
        for fields in CHATS:
            whole = await client.chat.completions.create(**CHAT | fields)
            chunks = [chunk async for chunk in await client.chat.completions.create(**CHAT | fields | USAGE)]
            assert chunks[-1].usage == whole.usage
        for fields, exceptions in COMPLETIONS:
            if not exceptions:
                assert (await client.completions.create(**COMPLETION | fields)).choices


async def test_a_client_that_validates_strictly_raises_the_error_of_a_stream(served: Served) -> None:
    model = served.launcher.model(CHAT["model"])
    model.generation_error, model.num_free_words = EngineRequestError("a fault"), 1
    async with strict_client(served) as client:
        stream = await client.chat.completions.create(**CHAT, stream=True)
        with pytest.raises(openai.APIError, match="a fault") as caught:
            _ = [chunk async for chunk in stream]

    assert (caught.value.code, caught.value.type) == ("engine_error", "server_error")
