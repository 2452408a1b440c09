"""Calls of tools and reasoning over /v1/chat/completions, as OpenAI's own client reads them."""

from typing import Any

import msgspec
import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from hostler.server.answer import Answer, Sequence
from hostler.server.openai_formats import ChatCompletionFormat
from hostler.testing.model import FACTS
from hostler.tools import ToolCall, ToolCallDelta, ToolUse
from hostler.types import Admission, ChatPrompt, SamplingParams, TokenDelta
from tests.server.conftest import Served
from tests.server.test_openai import CHAT, events
from tests.server.test_openai_types import USAGE, violations

TOOL = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
CALLS = [
    ToolCall(id="call_1", name="weather", arguments='{"city": "Oslo"}'),
    ToolCall(id="call_2", name="weather", arguments="{}"),
]
ASKED = CHAT | {"tools": [TOOL], "max_tokens": 100}


def spelled(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


@pytest.fixture
def calling(served: Served) -> Served:
    """A model that makes two calls, and says nothing."""
    model = served.launcher.model("tiny-chat")
    model.answer, model.tool_calls = "", CALLS
    return served


async def answered(served: Served, **fields: Any) -> dict[str, Any]:
    body: dict[str, Any] = (await served.client.post("/v1/chat/completions", json=ASKED | fields)).json()
    return body


async def streamed(served: Served, **fields: Any) -> list[dict[str, Any]]:
    return events((await served.client.post("/v1/chat/completions", json=ASKED | fields | USAGE)).text)


def assembled(chunks: list[dict[str, Any]]) -> ChatCompletion:
    """What OpenAI's client makes of a stream."""
    state = ChatCompletionStreamState()
    for chunk in chunks:
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    return state.get_final_completion()


async def test_calls_without_a_text_are_a_message_of_no_content(calling: Served) -> None:
    (choice,) = (await answered(calling))["choices"]

    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [spelled(call) for call in CALLS],
    }
    assert choice["finish_reason"] == "tool_calls"


async def test_calls_follow_a_text(calling: Served) -> None:
    calling.launcher.model("tiny-chat").answer = "Let me see."

    (choice,) = (await answered(calling))["choices"]

    assert choice["message"]["content"] == "Let me see."
    assert len(choice["message"]["tool_calls"]) == 2


@pytest.mark.parametrize("fields", [{}, {"n": 2}, {"logprobs": True, "top_logprobs": 1}])
async def test_a_stream_of_calls_is_what_the_whole_answer_is(calling: Served, fields: dict[str, Any]) -> None:
    whole = await answered(calling, **fields)
    chunks = await streamed(calling, **fields)

    joined = assembled(chunks)
    for choice, expected in zip(joined.choices, whole["choices"], strict=True):
        assert choice.message.tool_calls is not None
        calls = [call.model_dump(include={"id", "type", "function"}) for call in choice.message.tool_calls]
        assert [call | {"function": {k: call["function"][k] for k in ("name", "arguments")}} for call in calls] == (
            expected["message"]["tool_calls"]
        )
        assert choice.finish_reason == "tool_calls"
        assert choice.message.content is None
    assert [violations(ChatCompletionChunk, chunk) for chunk in chunks] == [set()] * len(chunks)
    assert violations(ChatCompletion, whole) == set()


async def test_no_chunk_has_more_than_one_call(served: Served) -> None:
    admission = Admission(num_prompt_tokens=1, max_tokens=9)
    spec = served.manager.registry["tiny-chat"]
    answer = Answer(spec, FACTS, SamplingParams(), [admission], [[Sequence()]], prompt_logprobs=[[]])
    delta = TokenDelta(
        text="Well.",
        reasoning="Hm.",
        tool_calls=[
            ToolCallDelta(index=0, id="call_1", name="weather"),
            ToolCallDelta(index=0, arguments="{}"),
            ToolCallDelta(index=1, id="call_2", name="weather"),
        ],
    )
    spelled = ChatCompletionFormat(includes_usage=False).delta(answer, 0, delta)
    chunks = [msgspec.json.decode(chunk) for chunk in spelled]

    assert [set(chunk["choices"][0]["delta"]) for chunk in chunks] == (
        [{"reasoning_content"}, {"content"}, *[{"tool_calls"}] * 3]
    )
    assert all(len(chunk["choices"][0]["delta"].get("tool_calls", ())) <= 1 for chunk in chunks)


async def test_only_the_first_chunk_of_a_call_has_its_id_and_name(calling: Served) -> None:
    chunks = await streamed(calling)
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]

    assert [call for delta in deltas for call in delta.get("tool_calls", ())] == [
        {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"city": "Oslo"}'}},
        {"index": 1, "id": "call_2", "type": "function", "function": {"name": "weather", "arguments": ""}},
        {"index": 1, "function": {"arguments": "{}"}},
    ]
    assert deltas[-1] == {}


async def test_a_call_that_max_tokens_cuts_is_told_as_far_as_it_came(calling: Served) -> None:
    (choice,) = (await answered(calling, max_tokens=2))["choices"]

    assert choice["finish_reason"] == "length"
    assert [call["function"]["arguments"] for call in choice["message"]["tool_calls"]] == [""]


async def test_reasoning_is_told_beside_the_answer_and_counted(served: Served) -> None:
    model = served.launcher.model("tiny-chat")
    model.reasoning, model.answer = "Hm. So.", "Yes, indeed."

    body = await answered(served)
    chunks = await streamed(served)

    message = body["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("Hm. So.", "Yes, indeed.")
    assert body["usage"]["completion_tokens_details"] == {"reasoning_tokens": 2}
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "Hm. So."
    assert "".join(delta.get("content", "") for delta in deltas) == "Yes, indeed."
    assert chunks[-1]["usage"] == body["usage"]


async def test_tools_are_handed_to_the_model_with_the_conversation(calling: Served) -> None:
    await answered(calling, tool_choice="required", parallel_tool_calls=False)

    (prompt, _) = calling.launcher.worker("tiny-chat").requests[-1]
    assert isinstance(prompt, ChatPrompt)
    assert isinstance(prompt.tool_use, ToolUse)
    assert (prompt.tool_use.is_required, prompt.tool_use.is_parallel) == (True, False)


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"tools": [TOOL] * 500}, "tools", "invalid_value"),
        ({"tools": [TOOL, TOOL]}, "tools", "invalid_value"),
        ({"tools": [{"type": "web_search"}]}, "tools", "unsupported_parameter"),
        ({"tool_choice": "always"}, "tool_choice", "invalid_value"),
        ({"tools": None, "tool_choice": "required"}, "tool_choice", "invalid_value"),
        ({"tool_choice": {"type": "function", "function": {"name": "clock"}}}, "tool_choice", "invalid_value"),
        ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {}}}, "tool_choice", "invalid_value"),
        ({"tool_choice": {"type": "custom", "custom": {}}}, "tool_choice", "unsupported_parameter"),
    ],
)
async def test_tools_that_cannot_be_are_refused_before_a_model_is_loaded(
    served: Served, fields: dict[str, Any], param: str, code: str
) -> None:
    response = await served.client.post("/v1/chat/completions", json=ASKED | fields)

    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["param"], error["code"]) == (param, code)
    assert len(response.content) < 2048
    assert served.launcher.workers == []
