"""`/v1/messages`, against the types and the client of Anthropic."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import pytest
from anthropic import types
from anthropic.types import Message
from anthropic.types.shared import ErrorResponse
from pydantic import BaseModel

from hostler import errors
from hostler.errors import EngineRequestError, HostlerError, ModelLoadError, QueueFullError, WaitTimeoutError
from hostler.server.streaming import StreamTiming
from hostler.tools import ToolCall
from tests.server.conftest import Served, serving
from tests.server.named_events import named_events
from tests.server.test_openai_types import violations

PATH = "/v1/messages"
COUNT = "/v1/messages/count_tokens"
HI = {"role": "user", "content": "hi"}
ASKED: dict[str, Any] = {"model": "tiny-chat", "messages": [HI], "max_tokens": 100}
TOOLS: list[Any] = [{"name": "weather", "input_schema": {"type": "object", "properties": {}}}]
THINKING: dict[str, Any] = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
CALLS = [ToolCall(id=f"call_{i}", name="weather", arguments='{"city": "Lyon"}') for i in (1, 2)]

EVENTS: dict[str, type[BaseModel]] = {
    "message_start": types.RawMessageStartEvent,
    "content_block_start": types.RawContentBlockStartEvent,
    "content_block_delta": types.RawContentBlockDeltaEvent,
    "content_block_stop": types.RawContentBlockStopEvent,
    "message_delta": types.RawMessageDeltaEvent,
    "message_stop": types.RawMessageStopEvent,
}
WHERE_THE_TYPES_ARE_SHORT = {"error.details"}
"""The client reads `details.error_code`, and its types of errors do not have it."""


def thinks_and_calls(served: Served) -> None:
    model = served.launcher.model("tiny-chat")
    model.answer, model.reasoning, model.tool_calls = "I look it up.", "A city is meant.", CALLS


async def stream_of(served: Served, **fields: Any) -> list[dict[str, Any]]:
    return named_events((await served.client.post(PATH, json=ASKED | {"stream": True} | fields)).text)


@asynccontextmanager
async def client_of(served: Served, **options: Any) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(
        api_key="-",
        base_url="http://localhost",
        http_client=served.client,
        max_retries=0,
        _strict_response_validation=True,
        **options,
    ) as client:
        yield client


@pytest.mark.parametrize("fields", [{}, {"tools": TOOLS}, {"tools": TOOLS} | THINKING])
async def test_a_whole_message_is_anthropics_type(fields: dict[str, Any], served: Served) -> None:
    thinks_and_calls(served)
    response = await served.client.post(PATH, json=ASKED | fields)

    assert response.status_code == 200, response.text
    assert violations(Message, response.json()) == set()
    assert response.headers["request-id"] == response.headers["x-request-id"]


async def test_the_events_of_thoughts_a_text_and_calls_come_in_order(served: Served) -> None:
    thinks_and_calls(served)
    events = await stream_of(served, tools=TOOLS, **THINKING)
    told = [event for event in events if event["type"] != "ping"]

    assert [violations(EVENTS[event["type"]], event) for event in told] == [set()] * len(told)
    kinds = [event["type"] for event in events]
    once = [kind for i, kind in enumerate(kinds) if kind != "content_block_delta" or kinds[i - 1] != kind]
    block = ["content_block_start", "content_block_delta", "content_block_stop"]
    assert once == ["message_start", "ping", *(block * 4), "message_delta", "message_stop"]
    started = [event["content_block"] for event in events if event["type"] == "content_block_start"]
    assert [block["type"] for block in started] == ["thinking", "text", "tool_use", "tool_use"]
    places = [event["index"] for event in events if "index" in event]
    assert places == sorted(places)
    assert set(places) == {0, 1, 2, 3}


async def test_a_stream_comes_to_the_same_as_a_whole_answer(served: Served) -> None:
    thinks_and_calls(served)
    whole = (await served.client.post(PATH, json=ASKED | {"tools": TOOLS} | THINKING)).json()
    async with client_of(served) as client, client.messages.stream(**ASKED, tools=TOOLS, **THINKING) as stream:
        streamed = (await stream.get_final_message()).to_dict()

    assert streamed["content"] == whole["content"]
    assert [block["type"] for block in whole["content"]] == ["thinking", "text", "tool_use", "tool_use"]
    assert whole["content"][2]["input"] == {"city": "Lyon"}
    assert streamed["usage"] == whole["usage"]
    assert whole["usage"] == {
        "input_tokens": 1,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 12,
        "output_tokens_details": {"thinking_tokens": 4},
    }
    assert streamed["stop_reason"] == whole["stop_reason"] == "tool_use"


async def test_thoughts_are_told_only_where_they_were_asked_for(served: Served) -> None:
    thinks_and_calls(served)
    whole = (await served.client.post(PATH, json=ASKED)).json()
    events = await stream_of(served)

    assert [block["type"] for block in whole["content"]] == ["text"]
    started = [event["content_block"]["type"] for event in events if event["type"] == "content_block_start"]
    assert started == ["text"]
    assert whole["usage"]["output_tokens_details"] == {"thinking_tokens": 4}


async def test_what_is_no_json_object_stands_under_arguments(served: Served) -> None:
    model = served.launcher.model("tiny-chat")
    model.answer, model.tool_calls = "", [ToolCall(id=f"call_{i}", name="weather", arguments="") for i in (1, 2)]
    model.tool_calls[0] = ToolCall(id="call_1", name="weather", arguments="Lyon")
    content = (await served.client.post(PATH, json=ASKED | {"tools": TOOLS})).json()["content"]

    assert [block["input"] for block in content if block["type"] == "tool_use"] == [{"arguments": "Lyon"}, {}]


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize(
    ("fields", "stop", "reason"),
    [
        ({}, None, "end_turn"),
        ({"max_tokens": 2}, None, "max_tokens"),
        ({"stop_sequences": ["there"]}, "there", "stop_sequence"),
    ],
)
async def test_the_reason_why_an_answer_ended_is_told(
    fields: dict[str, Any], stop: str | None, reason: str, is_streamed: bool, served: Served
) -> None:
    model = served.launcher.model("tiny-chat")
    model.answer, model.stop = "Hello to you all", stop
    if is_streamed:
        told = next(event["delta"] for event in await stream_of(served, **fields) if event["type"] == "message_delta")
    else:
        told = (await served.client.post(PATH, json=ASKED | fields)).json()

    assert (told["stop_reason"], told["stop_sequence"]) == (reason, stop)


async def test_more_tokens_than_the_context_has_are_cut_to_it_and_that_is_told(served: Served) -> None:
    message = (await served.client.post(PATH, json=ASKED | {"max_tokens": 50_000})).json()

    assert message["stop_reason"] == "model_context_window_exceeded"
    assert message["usage"]["output_tokens"] == 1023


async def test_an_answer_without_anything_is_an_empty_text(served: Served) -> None:
    served.launcher.model("tiny-chat").answer = ""
    whole = (await served.client.post(PATH, json=ASKED)).json()
    events = await stream_of(served)

    assert whole["content"] == [{"type": "text", "text": ""}]
    assert [event["type"] for event in events][2:4] == ["content_block_start", "content_block_stop"]


async def test_tokens_are_counted_as_the_prompt_has_them(served: Served) -> None:
    asked: dict[str, Any] = {"model": "tiny-chat", "messages": [HI], "system": "Be very brief.", "tools": TOOLS}
    response = await served.client.post(COUNT, json=asked)

    assert response.json() == {"input_tokens": 4}
    async with client_of(served) as client:
        counted = await client.messages.count_tokens(**asked)
    assert counted.input_tokens == 4


async def test_an_error_in_the_middle_is_an_event_that_the_client_raises(served: Served) -> None:
    model = served.launcher.model("tiny-chat")
    model.generation_error, model.num_free_words = EngineRequestError("a fault"), 1
    last = (await stream_of(served))[-1]

    assert violations(ErrorResponse, last) == WHERE_THE_TYPES_ARE_SHORT
    async with client_of(served) as client:
        with pytest.raises(anthropic.APIStatusError, match="a fault") as caught:
            _ = [event async for event in await client.messages.create(**ASKED, stream=True)]
    assert (caught.value.type, caught.value.error_code) == ("api_error", "engine_error")


async def test_a_stream_that_waits_has_comments_and_then_its_error() -> None:
    async with serving(timing=StreamTiming(headers_after_s=0.0, comment_every_s=0.001)) as served:
        model = served.launcher.model("tiny-chat")
        model.load_gate = asyncio.Event()
        model.load_error = ModelLoadError("no such file")
        asked = asyncio.create_task(served.client.post(PATH, json=ASKED | {"stream": True}))
        while not served.launcher.workers:  # noqa: ASYNC110 - a start sets no event
            await asyncio.sleep(0)
        model.load_gate.set()
        response = await asked

    assert response.text.startswith(": ")
    (event,) = named_events(response.text)
    assert event["error"]["type"] == "overloaded_error"
    assert event["request_id"] == response.headers["request-id"]


@pytest.mark.parametrize(
    ("error", "kind", "status", "error_type"),
    [
        (errors.ContextLengthError("long"), anthropic.BadRequestError, 400, "invalid_request_error"),
        (errors.GatedModelError("ask"), anthropic.PermissionDeniedError, 403, "permission_error"),
        (QueueFullError("full"), anthropic.RateLimitError, 429, "rate_limit_error"),
        (EngineRequestError("a fault"), anthropic.InternalServerError, 500, "api_error"),
        (WaitTimeoutError("no room"), anthropic.OverloadedError, 529, "overloaded_error"),
    ],
)
async def test_an_error_is_the_clients_own_class(
    error: HostlerError, kind: type[anthropic.APIStatusError], status: int, error_type: str, served: Served
) -> None:
    served.launcher.model("tiny-chat").generation_error = error
    async with client_of(served) as client:
        with pytest.raises(kind) as caught:
            await client.messages.create(**ASKED)

    assert (caught.value.status_code, caught.value.type, caught.value.error_code) == (status, error_type, error.code)
    assert caught.value.request_id == caught.value.response.headers["x-request-id"]


async def test_a_wrong_key_is_an_authentication_error() -> None:
    headers = {"x-api-key": "sk-right", "anthropic-version": "2023-06-01", "anthropic-beta": "x"}
    async with serving(api_key="sk-right") as served:
        assert (await served.client.post(PATH, json=ASKED, headers=headers)).status_code == 200
        async with client_of(served) as client:
            with pytest.raises(anthropic.AuthenticationError) as caught:
                await client.messages.create(**ASKED)

    assert caught.value.type == "authentication_error"
    assert caught.value.request_id


async def test_a_body_that_is_too_large_is_anthropics_413() -> None:
    async with serving(max_body_bytes=1000) as served, client_of(served) as client:
        with pytest.raises(anthropic.ContentTooLargeError) as caught:
            await client.messages.create(**ASKED | {"messages": [{"role": "user", "content": "a " * 1000}]})

    body: Any = caught.value.body
    assert body["error"]["type"] == "request_too_large"


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"model": "nobody"}, 404, "model_not_found"),
        ({"messages": []}, 400, "invalid_value"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, 400, "unsupported_parameter"),
        ({"tools": TOOLS * 2}, 400, "invalid_value"),
        ({"tools": TOOLS * 500}, 400, "invalid_value"),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, 400, "unsupported_parameter"),
        ({"tool_choice": {"type": "any"}}, 400, "invalid_value"),
        ({"container": "x"}, 400, "unsupported_parameter"),
        ({"thinking": {"type": "enabled", "budget_tokens": 0}}, 400, "invalid_value"),
        ({"stop": "a"}, 400, "invalid_value"),
        ({"max_tokens": 0}, 400, "invalid_value"),
    ],
)
async def test_a_mistake_is_anthropics_error(fields: dict[str, Any], status: int, code: str, served: Served) -> None:
    await check_mistake(served, PATH, ASKED, fields, status, code)


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [({"model": "nobody"}, 404, "model_not_found"), ({"max_tokens": 9}, 400, "invalid_value")],
)
async def test_a_mistake_in_what_is_counted_is_too(
    fields: dict[str, Any], status: int, code: str, served: Served
) -> None:
    await check_mistake(served, COUNT, {"model": "tiny-chat", "messages": [HI]}, fields, status, code)


async def check_mistake(
    served: Served, path: str, asked: dict[str, Any], fields: dict[str, Any], status: int, code: str
) -> None:
    """It is Anthropic's error, names the first of the fields, and is short."""
    response = await served.client.post(path, json=asked | fields)
    body = response.json()

    assert (response.status_code, body["error"]["details"]["error_code"]) == (status, code), response.text
    assert violations(ErrorResponse, body) == WHERE_THE_TYPES_ARE_SHORT
    assert next(iter(fields)) in body["error"]["message"]
    assert body["request_id"] == response.headers["request-id"]
    assert len(response.content) <= 1024


async def test_a_missing_limit_is_named(served: Served) -> None:
    response = await served.client.post(PATH, json={"model": "tiny-chat", "messages": [HI]})

    assert response.json()["error"]["details"]["param"] == "max_tokens"


async def test_the_clients_stream_tells_texts_and_inputs(served: Served) -> None:
    thinks_and_calls(served)
    async with client_of(served) as client, client.messages.stream(**ASKED, tools=TOOLS) as stream:
        told = [event async for event in stream]

    assert "".join(event.text for event in told if event.type == "text") == "I look it up."
    assert [event.snapshot for event in told if event.type == "input_json"] == [{"city": "Lyon"}] * 2


class City(BaseModel):
    name: str


async def test_the_client_parses_a_schema(served: Served) -> None:
    served.launcher.model("tiny-chat").answer = '{"name": "Lyon"}'
    async with client_of(served) as client:
        parsed = await client.messages.parse(**ASKED, output_format=City)

    assert parsed.parsed_output == City(name="Lyon")


async def test_an_answer_may_be_sent_back_as_it_came(served: Served) -> None:
    thinks_and_calls(served)
    async with client_of(served) as client:
        first = await client.messages.create(**ASKED, tools=TOOLS, **THINKING)
        results = [{"type": "tool_result", "tool_use_id": call.id, "content": "rain"} for call in CALLS]
        history = [HI, {"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
        await client.messages.create(**ASKED | {"messages": history}, tools=TOOLS)

    prompt, _ = served.launcher.worker("tiny-chat").requests[-1]
    roles = [message.role for message in prompt.messages]  # type: ignore[union-attr]
    assert roles == ["user", "assistant", "tool", "tool"]
