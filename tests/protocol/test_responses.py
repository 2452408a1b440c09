"""The request of `/v1/responses`, against the fields that OpenAI's client has today."""

from typing import Any, get_args, get_type_hints

import pytest
from openai.types.responses import (
    EasyInputMessageParam,
    FunctionToolParam,
    ResponseFunctionToolCallParam,
    ResponseInputTextParam,
    ResponseOutputMessageParam,
    ResponseOutputTextParam,
    ResponseReasoningItemParam,
    ResponseTextConfigParam,
    response_create_params,
)
from openai.types.responses.response_includable import ResponseIncludable
from openai.types.responses.response_input_item_param import FunctionCallOutput, ResponseInputItemParam
from openai.types.responses.tool_param import ToolParam
from openai.types.shared_params import Reasoning
from pydantic import ValidationError

from hostler.errors import InvalidRequestError, UnsupportedParameterError
from hostler.protocol.responses import Includable, ReasoningOptions, ResponsesRequest, TextOptions
from hostler.protocol.responses_fields import RESPONSES_UNSUPPORTED, RESPONSES_WITHOUT_EFFECT
from hostler.protocol.responses_input import MAX_ITEMS
from hostler.tools import Tool, ToolUse
from hostler.types import ChatMessage, ConstraintKind

FIELDS = set(get_type_hints(response_create_params.ResponseCreateParamsStreaming))
EXTENSIONS = {"keep_alive", "priority"}
CALL = {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "call_1", "output": "rain"}
TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}


def allowed(mode: str, *names: str) -> dict[str, Any]:
    return {"type": "allowed_tools", "mode": mode, "tools": [{"type": "function", "name": name} for name in names]}


def read(**fields: Any) -> ResponsesRequest:
    return ResponsesRequest.model_validate({"model": "m", "input": "hi", **fields})


def messages(*items: object, **fields: Any) -> list[ChatMessage]:
    return read(input=list(items), **fields).prompt().messages


def kinds_of(params: object) -> set[str]:
    """Every `type` of a union of the client's."""
    found: set[str] = set()
    for param in get_args(params):
        hint = get_type_hints(param)["type"]
        literals = [hint, *get_args(hint)]
        found.update(kind for literal in literals for kind in get_args(literal) if isinstance(kind, str))
    return found


def test_every_field_is_either_done_or_passed_over_or_refused() -> None:
    done = set(ResponsesRequest.model_fields) - EXTENSIONS
    assert done | RESPONSES_WITHOUT_EFFECT | set(RESPONSES_UNSUPPORTED) == FIELDS
    assert len(done) + len(RESPONSES_WITHOUT_EFFECT) + len(RESPONSES_UNSUPPORTED) == len(FIELDS)


def test_every_field_may_be_null() -> None:
    nulls = dict.fromkeys(FIELDS | EXTENSIONS)

    assert read(**nulls | {"model": "m", "input": "hi"}).prompt() == read().prompt()


def test_options_of_text_and_of_reasoning_are_the_clients() -> None:
    assert set(TextOptions.model_fields) == set(get_type_hints(ResponseTextConfigParam))
    assert set(ReasoningOptions.model_fields) == set(get_type_hints(Reasoning))
    assert set(get_args(Includable)) == set(get_args(ResponseIncludable))


@pytest.mark.parametrize(
    ("params", "filled"),
    [
        (EasyInputMessageParam, {"type": "message", "role": "user", "content": "hi"}),
        (
            ResponseOutputMessageParam,
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "hi", "annotations": [], "logprobs": []}],
            },
        ),
        (ResponseFunctionToolCallParam, CALL | {"id": "fc_1", "status": "completed", "caller": {"type": "direct"}}),
        (FunctionCallOutput, RESULT | {"name": "weather"}),
        (ResponseReasoningItemParam, {"id": "rs_1", "type": "reasoning", "summary": []}),
    ],
)
def test_every_key_of_an_item_may_be_null_or_sent_back(params: Any, filled: dict[str, Any]) -> None:
    keys = set(get_type_hints(params))
    assert set(filled) <= keys

    assert messages({"role": "user", "content": "a"}, CALL, dict.fromkeys(keys) | filled)


@pytest.mark.parametrize(
    ("params", "filled"),
    [
        (ResponseInputTextParam, {"type": "input_text", "text": "hi"}),
        (ResponseOutputTextParam, {"type": "output_text", "text": "hi"}),
    ],
)
def test_every_key_of_a_part_is_accepted(params: Any, filled: dict[str, Any]) -> None:
    part = dict.fromkeys(get_type_hints(params)) | filled

    assert messages({"role": "user", "content": [part]})[0].content == "hi"


def test_every_key_of_a_function_is_accepted() -> None:
    tool = dict.fromkeys(get_type_hints(FunctionToolParam)) | TOOL

    assert read(tools=[tool]).tool_use() is not None


@pytest.mark.parametrize("kind", sorted(kinds_of(ToolParam) - {"function"}))
def test_tools_that_are_no_functions_are_refused_by_name(kind: str) -> None:
    with pytest.raises(UnsupportedParameterError, match=kind) as caught:
        read(tools=[{"type": kind}])

    assert caught.value.param == "tools"


@pytest.mark.parametrize(
    "kind",
    sorted(kinds_of(ResponseInputItemParam) - {"message", "function_call", "function_call_output", "reasoning"}),
)
def test_items_that_are_not_taken_are_refused(kind: str) -> None:
    with pytest.raises(UnsupportedParameterError) as caught:
        read(input=[{"type": kind, "id": "x"}])

    assert caught.value.param == "input"


def test_a_reference_is_told_apart_by_its_id_alone() -> None:
    with pytest.raises(UnsupportedParameterError, match="nothing is stored"):
        read(input=[{"id": "msg_1"}])


@pytest.mark.parametrize("kind", ["input_image", "input_file", "input_audio"])
def test_parts_that_are_no_text_are_refused(kind: str) -> None:
    with pytest.raises(UnsupportedParameterError, match=kind):
        messages({"role": "user", "content": [{"type": kind}]})


@pytest.mark.parametrize("name", sorted(RESPONSES_UNSUPPORTED))
def test_a_field_that_is_not_done_is_refused_with_a_remedy(name: str) -> None:
    _, remedy = RESPONSES_UNSUPPORTED[name]
    with pytest.raises(UnsupportedParameterError, match=name) as caught:
        read(**{name: {"id": "x"} if name not in ("background",) else True})

    assert remedy in caught.value.message


def test_a_text_is_what_a_user_says() -> None:
    assert read().prompt().messages == [ChatMessage(role="user", content="hi")]


def test_instructions_and_developers_speak_as_the_system() -> None:
    developer = {"role": "developer", "content": "b"}

    assert messages(developer, {"role": "user", "content": "c"}, instructions="a") == [
        ChatMessage(role="system", content="a\nb"),
        ChatMessage(role="user", content="c"),
    ]


def test_a_turn_with_thoughts_calls_and_results_becomes_messages() -> None:
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}
    found = messages({"role": "user", "content": "a"}, thought, CALL, RESULT)

    assert [message.role for message in found] == ["user", "assistant", "tool"]
    assert found[1].reasoning_content == "hm"
    assert found[1].tool_calls[0].id == "call_1"
    assert (found[2].content, found[2].name) == ("rain", "weather")


def test_a_result_without_its_call_names_the_input() -> None:
    with pytest.raises(InvalidRequestError, match="call_1") as caught:
        messages(RESULT)

    assert caught.value.param == "input"


def test_thoughts_alone_are_no_conversation() -> None:
    with pytest.raises(InvalidRequestError, match="no message"):
        messages({"type": "reasoning", "id": "rs_1", "summary": []})


@pytest.mark.parametrize(
    "lost", [{"namespace": "n"}, {"async": True}, {"caller": {"type": "program", "caller_id": "p"}}]
)
def test_what_would_be_lost_of_a_call_is_refused(lost: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedParameterError, match=next(iter(lost))):
        messages(CALL | lost)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, {}),
        ("auto", {}),
        ("required", {"is_required": True}),
        ({"type": "function", "name": "weather"}, {"is_required": True, "name": "weather", "is_parallel": False}),
        (allowed("auto", "weather"), {}),
        (allowed("required", "weather"), {"is_required": True}),
    ],
)
def test_tools_reach_the_model(choice: object, expected: dict[str, Any]) -> None:
    tool = Tool(name="weather", parameters={"type": "object", "properties": {}})

    assert read(tools=[TOOL], tool_choice=choice).prompt().tool_use == ToolUse(tools=[tool], **expected)


def test_of_functions_that_are_not_allowed_the_model_is_not_told() -> None:
    used = read(tools=[TOOL, TOOL | {"name": "clock"}], tool_choice=allowed("auto", "clock")).tool_use()

    assert used is not None
    assert [tool.name for tool in used.tools] == ["clock"]


def test_without_parallel_calls_there_is_one() -> None:
    found = read(tools=[TOOL], parallel_tool_calls=False).tool_use()
    assert found is not None
    assert not found.is_parallel


def test_a_choice_of_none_keeps_the_tools_from_the_model() -> None:
    assert read(tools=[TOOL], tool_choice="none").prompt().tool_use is None


def test_a_schema_is_a_constraint_of_the_text() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    params = read(text={"format": {"type": "json_schema", "name": "n", "schema": schema}}).sampling_params(0.7)

    assert params.constraint is not None
    assert (params.constraint.kind, params.constraint.param) == (ConstraintKind.JSON_SCHEMA, "text")
    assert read(text={"format": {"type": "json_object"}}).sampling_params(0.7).constraint is not None
    assert read(text={"format": {"type": "text"}}).sampling_params(0.7).constraint is None


def test_parameters_reach_the_model() -> None:
    params = read(max_output_tokens=7, temperature=0, top_p=0.5, top_logprobs=2).sampling_params(0.7)

    assert (params.max_tokens, params.max_tokens_field) == (7, "max_output_tokens")
    assert (params.temperature, params.top_p, params.logprobs) == (0, 0.5, 2)
    assert read().sampling_params(0.7).temperature == 0.7
    assert read(include=["message.output_text.logprobs"]).sampling_params(0.7).logprobs == 0


def test_truncation_drops_the_oldest() -> None:
    assert read(truncation="auto").prompt().drop_oldest
    assert not read(truncation="disabled").prompt().drop_oldest


@pytest.mark.parametrize(
    "fields",
    [
        {"input": []},
        {"input": 5},
        {"input": [{"role": "user"}]},
        {"input": [{"role": "user", "content": "a"}] * (MAX_ITEMS + 1)},
        {"max_output_tokens": 0},
        {"metadata": {str(i): "x" for i in range(17)}},
        {"metadata": {"x" * 65: "x"}},
        {"text": {"verbosity": "low"}},
        {"truncation": "left"},
        {"include": ["secrets"]},
        {"tool_choice": "always"},
        {"tool_choice": allowed("none", "weather")},
        {"tool_choice": allowed("auto")},
        {"stream_options": {"include_obfuscation": True}},
        {"frequency_penalty": 1},
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read(**fields)
