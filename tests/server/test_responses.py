"""`/v1/responses`, against the types and the client of openai-python."""

import asyncio
from typing import Any

import openai
import pytest
from openai.types import responses as types
from openai.types.responses import Response
from pydantic import BaseModel

from hostler.errors import EngineRequestError, ModelLoadError, QueueFullError
from hostler.server.streaming import StreamTiming
from hostler.tools import ToolCall
from tests.server.conftest import Served, serving
from tests.server.named_events import named_events
from tests.server.test_openai_types import strict_client, violations

PATH = "/v1/responses"
ASKED: dict[str, Any] = {"model": "tiny-chat", "input": "hi", "max_output_tokens": 4}
TOOLS = [{"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}]
CALLS = [ToolCall(id=f"call_{i}", name="weather", arguments='{"city": "Lyon"}') for i in (1, 2)]

EVENTS: dict[str, type[BaseModel]] = {
    "response.created": types.ResponseCreatedEvent,
    "response.in_progress": types.ResponseInProgressEvent,
    "response.output_item.added": types.ResponseOutputItemAddedEvent,
    "response.output_item.done": types.ResponseOutputItemDoneEvent,
    "response.content_part.added": types.ResponseContentPartAddedEvent,
    "response.content_part.done": types.ResponseContentPartDoneEvent,
    "response.output_text.delta": types.ResponseTextDeltaEvent,
    "response.output_text.done": types.ResponseTextDoneEvent,
    "response.reasoning_text.delta": types.ResponseReasoningTextDeltaEvent,
    "response.reasoning_text.done": types.ResponseReasoningTextDoneEvent,
    "response.function_call_arguments.delta": types.ResponseFunctionCallArgumentsDeltaEvent,
    "response.function_call_arguments.done": types.ResponseFunctionCallArgumentsDoneEvent,
    "response.completed": types.ResponseCompletedEvent,
    "response.incomplete": types.ResponseIncompleteEvent,
    "response.failed": types.ResponseFailedEvent,
    "error": types.ResponseErrorEvent,
}
WHERE_THE_TYPES_ARE_SHORT = {"error": {"error"}}
"""OpenAI's client raises what stands there, and its type of the event does not have it."""

SHAPES: dict[str, dict[str, Any]] = {
    "text": {},
    "logprobs": {"include": ["message.output_text.logprobs"], "top_logprobs": 2},
    "told back": {
        "instructions": "Be brief.",
        "metadata": {"a": "b"},
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
        "truncation": "auto",
    },
    "tools": {"tools": TOOLS, "tool_choice": {"type": "function", "name": "weather"}, "max_output_tokens": 100},
}


def thinks_and_calls(served: Served) -> None:
    model = served.launcher.model("tiny-chat")
    model.answer, model.reasoning, model.tool_calls = "I look it up.", "A city is meant.", CALLS


async def stream_of(served: Served, **fields: Any) -> list[dict[str, Any]]:
    return named_events((await served.client.post(PATH, json=ASKED | {"stream": True} | fields)).text)


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_whole_response_is_openais_type(shape: str, served: Served) -> None:
    thinks_and_calls(served)
    response = await served.client.post(PATH, json=ASKED | SHAPES[shape])

    assert response.status_code == 200, response.text
    assert violations(Response, response.json()) == set()


@pytest.mark.parametrize("shape", SHAPES)
async def test_every_event_is_openais_type_and_numbered_without_gaps(shape: str, served: Served) -> None:
    thinks_and_calls(served)
    events = await stream_of(served, **SHAPES[shape])

    assert [violations(EVENTS[event["type"]], event) for event in events] == [set()] * len(events)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


async def test_the_events_of_thoughts_a_text_and_calls_come_in_order(served: Served) -> None:
    thinks_and_calls(served)
    events = await stream_of(served, tools=TOOLS, max_output_tokens=None)
    kinds = [event["type"].removeprefix("response.") for event in events]
    once = [kind for i, kind in enumerate(kinds) if not kind.endswith("delta") or kinds[i - 1] != kind]

    text = ["content_part.added", "{}.delta", "{}.done", "content_part.done"]
    call = ["output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done"]
    assert once == [
        *("created", "in_progress"),
        *("output_item.added", *(kind.format("reasoning_text") for kind in text), "output_item.done"),
        *("output_item.added", *(kind.format("output_text") for kind in text), "output_item.done"),
        *(call * 2),
        "completed",
    ]
    items = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert [item["type"] for item in items] == ["reasoning", "message", "function_call", "function_call"]
    assert events[-1]["response"]["output"] == items
    places = [event["output_index"] for event in events if "output_index" in event]
    assert places == sorted(places)


async def test_deltas_joined_are_what_is_done(served: Served) -> None:
    thinks_and_calls(served)
    events = await stream_of(served, tools=TOOLS, max_output_tokens=None)
    joined: dict[str, str] = {}
    for event in events:
        if event["type"].endswith(".delta"):
            joined[event["item_id"]] = joined.get(event["item_id"], "") + event["delta"]

    done = {event["item_id"]: event.get("text", event.get("arguments")) for event in events if "item_id" in event}
    finished = [event for event in events if event["type"].endswith(("text.done", "arguments.done"))]
    assert {event["item_id"]: event.get("text", event.get("arguments")) for event in finished} == joined
    assert set(done) == set(joined)


async def test_a_stream_comes_to_the_same_as_a_whole_answer(served: Served) -> None:
    thinks_and_calls(served)
    asked = ASKED | {"tools": TOOLS, "max_output_tokens": 100}
    whole = (await served.client.post(PATH, json=asked)).json()
    last = (await stream_of(served, **asked))[-1]["response"]

    def without_ids(response: dict[str, Any]) -> dict[str, Any]:
        items = [{key: value for key, value in item.items() if key != "id"} for item in response["output"]]
        changing = ("id", "created_at", "completed_at")
        return {key: value for key, value in response.items() if key not in changing} | {"output": items}

    assert without_ids(last) == without_ids(whole)
    assert whole["usage"] == {
        "input_tokens": 1,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 12,
        "output_tokens_details": {"reasoning_tokens": 4},
        "total_tokens": 13,
    }


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_an_answer_that_is_cut_is_incomplete(is_streamed: bool, served: Served) -> None:
    served.launcher.model("tiny-chat").answer = "one two three four five six"
    if is_streamed:
        last = (await stream_of(served))[-1]
        assert last["type"] == "response.incomplete"
        response = last["response"]
    else:
        response = (await served.client.post(PATH, json=ASKED)).json()

    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert response["output"][0]["status"] == "incomplete"
    assert response["output"][0]["content"][0]["text"] == "one two three four "


async def test_an_answer_without_anything_is_an_empty_message(served: Served) -> None:
    served.launcher.model("tiny-chat").answer = ""
    whole = (await served.client.post(PATH, json=ASKED)).json()
    last = (await stream_of(served))[-1]["response"]

    for response in (whole, last):
        assert [item["type"] for item in response["output"]] == ["message"]
        assert response["output"][0]["content"][0]["text"] == ""


async def test_logprobs_are_of_the_tokens_of_the_text(served: Served) -> None:
    thinks_and_calls(served)
    asked = ASKED | SHAPES["logprobs"] | {"max_output_tokens": 100}
    message = (await served.client.post(PATH, json=asked)).json()["output"][1]
    events = await stream_of(served, **asked)
    streamed = [entry for event in events for entry in event.get("logprobs", ()) if event["type"].endswith("delta")]

    spelled = message["content"][0]["logprobs"]
    assert "".join(entry["token"] for entry in spelled) == "I look it up."
    assert [entry["token"] for entry in streamed] == [entry["token"] for entry in spelled]
    assert {len(entry["top_logprobs"]) for entry in spelled} == {2}


async def test_an_error_in_the_middle_is_a_failed_response(served: Served) -> None:
    model = served.launcher.model("tiny-chat")
    model.generation_error, model.num_free_words = EngineRequestError("a fault"), 1
    last = (await stream_of(served))[-1]

    assert last["type"] == "response.failed"
    assert last["response"]["status"] == "failed"
    assert last["response"]["error"] == {"code": "server_error", "message": "a fault"}


async def test_a_full_queue_is_a_failure_by_openais_name() -> None:
    async with serving() as served:
        model = served.launcher.model("tiny-chat")
        model.generation_error, model.num_free_words = QueueFullError("full"), 1
        last = (await stream_of(served))[-1]

    assert last["response"]["error"]["code"] == "rate_limit_exceeded"


async def test_a_stream_that_waits_has_comments_and_then_the_error_that_the_client_raises() -> None:
    async with serving(timing=StreamTiming(headers_after_s=0.0, comment_every_s=0.001)) as served:
        model = served.launcher.model("tiny-chat")
        model.load_gate = asyncio.Event()
        model.load_error = ModelLoadError("no such file")
        asked = asyncio.create_task(served.client.post(PATH, json=ASKED | {"stream": True}))
        while not served.launcher.workers:  # noqa: ASYNC110 - a start sets no event
            await asyncio.sleep(0)
        model.load_gate.set()
        text = (await asked).text

    assert text.startswith(": ")
    (event,) = named_events(text)
    assert violations(EVENTS["error"], event) == WHERE_THE_TYPES_ARE_SHORT["error"]
    assert (event["code"], event["sequence_number"]) == ("model_load_failed", 0)
    assert event["error"]["message"] == event["message"]


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"model": "nobody"}, 404, "model_not_found", "model"),
        ({"previous_response_id": "resp_1"}, 400, "unsupported_parameter", "previous_response_id"),
        ({"conversation": "conv_1"}, 400, "unsupported_parameter", "conversation"),
        ({"background": True}, 400, "unsupported_parameter", "background"),
        ({"tools": [{"type": "web_search"}]}, 400, "unsupported_parameter", "tools"),
        ({"tools": TOOLS * 2}, 400, "invalid_value", "tools"),
        ({"tools": TOOLS * 500}, 400, "invalid_value", "tools"),
        ({"tool_choice": "required"}, 400, "invalid_value", "tool_choice"),
        ({"tool_choice": {"type": "file_search"}}, 400, "unsupported_parameter", "tool_choice"),
        ({"max_output_tokens": 5000}, 400, "context_length_exceeded", "max_output_tokens"),
        ({"input": "a " * 2000}, 400, "context_length_exceeded", None),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, 400, "unsupported_parameter", "input"),
        ({"input": [{"role": "wizard", "content": "a"}]}, 400, "invalid_value", "input"),
        ({"temperature": 9}, 400, "invalid_value", "temperature"),
        ({"stop": "a"}, 400, "invalid_value", "stop"),
    ],
)
async def test_a_mistake_is_openais_error(
    fields: dict[str, Any], status: int, code: str, param: str | None, served: Served
) -> None:
    for is_streamed in (False, True):
        response = await served.client.post(PATH, json=ASKED | fields | {"stream": is_streamed})
        error = response.json()["error"]
        assert (response.status_code, error["code"]) == (status, code), response.text
        assert param is None or error["param"] == param
        assert len(response.content) <= 1024


async def test_unknown_fields_pass_where_they_are_ignored() -> None:
    async with serving(unknown_fields="ignore") as served:
        assert (await served.client.post(PATH, json=ASKED | {"stop": "a"})).status_code == 200


async def test_the_client_takes_every_answer_strictly(served: Served) -> None:
    thinks_and_calls(served)
    async with strict_client(served) as client:
        for fields in SHAPES.values():
            whole = await client.responses.create(**ASKED | fields)
            events = [event async for event in await client.responses.create(**ASKED | fields, stream=True)]
            assert events[-1].response.usage == whole.usage


async def test_the_clients_stream_ends_with_the_whole_response(served: Served) -> None:
    thinks_and_calls(served)
    async with strict_client(served) as client:
        asked: dict[str, Any] = ASKED | {"max_output_tokens": 100, "tools": [TOOLS[0] | {"strict": True}]}
        async with client.responses.stream(**asked) as stream:
            kinds = {event.type async for event in stream}
            final = await stream.get_final_response()

    assert {"response.output_text.delta", "response.function_call_arguments.done", "response.completed"} <= kinds
    assert final.output_text == "I look it up."
    assert [item.type for item in final.output] == ["reasoning", "message", "function_call", "function_call"]


class City(BaseModel):
    name: str


async def test_the_client_parses_a_schema(served: Served) -> None:
    served.launcher.model("tiny-chat").answer = '{"name": "Lyon"}'
    async with strict_client(served) as client:
        parsed = await client.responses.parse(**ASKED, text_format=City)

    assert parsed.output_parsed == City(name="Lyon")


async def test_an_answer_may_be_sent_back_as_it_came(served: Served) -> None:
    thinks_and_calls(served)
    async with strict_client(served) as client:
        first = await client.responses.create(**ASKED | {"tools": TOOLS, "max_output_tokens": 100})
        history: list[Any] = [{"role": "user", "content": "hi"}, *(item.to_dict() for item in first.output)]
        results = [{"type": "function_call_output", "call_id": call.id, "output": "rain"} for call in CALLS]
        second = await client.responses.create(**ASKED | {"input": history + results, "tools": TOOLS})

    assert second.status in ("completed", "incomplete")
    prompt, _ = served.launcher.worker("tiny-chat").requests[-1]
    roles = [message.role for message in prompt.messages]  # type: ignore[union-attr]
    assert roles == ["user", "assistant", "tool", "tool"]


async def test_the_client_raises_a_refusal_as_its_own_class(served: Served) -> None:
    async with strict_client(served) as client:
        with pytest.raises(openai.BadRequestError, match="nothing is stored"):
            await client.responses.create(**ASKED, previous_response_id="resp_1")
