import time
from typing import Any

import pytest
from pydantic import ValidationError

from hostler.errors import InvalidRequestError
from hostler.protocol.openai_chat import ChatCompletionRequest
from hostler.tools import Tool, ToolUse

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = {"type": "function", "function": {"name": "weather", "description": "Of a city.", "parameters": SCHEMA}}
CLOCK = {"type": "function", "function": {"name": "clock", "strict": True}}
BY_NAME = {"type": "function", "function": {"name": "clock"}}


def allowed(mode: str, *names: str) -> dict[str, Any]:
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


def read(**fields: Any) -> ChatCompletionRequest:
    return ChatCompletionRequest.model_validate(
        {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        ({"tool_choice": "auto"}, {}),
        ({"tool_choice": None, "parallel_tool_calls": None}, {}),
        ({"parallel_tool_calls": False}, {"is_parallel": False}),
        ({"tool_choice": "required"}, {"is_required": True}),
        ({"tool_choice": allowed("auto", "weather", "clock")}, {}),
        ({"tool_choice": allowed("required", "clock")}, {"is_required": True, "tools": [Tool(name="clock")]}),
        ({"tool_choice": BY_NAME}, {"is_required": True, "name": "clock", "is_parallel": False}),
    ],
)
def test_tools_and_the_choice_among_them_reach_the_prompt(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    tools = [Tool(name="weather", description="Of a city.", parameters=SCHEMA), Tool(name="clock")]

    assert read(tools=[WEATHER, CLOCK], **fields).prompt().tool_use == ToolUse(**{"tools": tools, **expected})


@pytest.mark.parametrize("fields", [{}, {"tools": []}, {"tools": [CLOCK], "tool_choice": "none"}])
def test_a_model_is_told_of_no_tools_where_there_are_none_to_call(fields: dict[str, Any]) -> None:
    assert read(**fields).prompt().tool_use is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [CLOCK, CLOCK]}, "tools"),
        ({"tools": [{"type": "function", "function": {"name": "my tool"}}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": BY_NAME}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": BY_NAME}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": allowed("auto", "weather", "clock")}, "tool_choice"),
        ({"tools": [{"type": "function", "function": {"name": f"f{i}"}} for i in range(500)]}, "tools"),
    ],
)
def test_tools_that_cannot_be_are_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read(**fields).prompt()

    assert caught.value.param == param


@pytest.mark.parametrize(("field", "value"), [("num_beams", 2), ("ignore_eos", True), ("min_tokens", 3)])
def test_where_a_call_is_asked_for_nothing_else_says_where_the_text_ends(field: str, value: object) -> None:
    read(tools=[CLOCK], **{field: value}).sampling_params()

    with pytest.raises(InvalidRequestError, match=f"{field} is not available with this tool_choice") as caught:
        read(tools=[CLOCK], tool_choice="required", **{field: value}).sampling_params()
    assert caught.value.param == field


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "function"},
        {"type": "allowed_tools"},
        {"type": "allowed_tools", "allowed_tools": {"mode": "none", "tools": [BY_NAME]}},
        allowed("auto"),
    ],
)
def test_a_choice_that_is_none_is_refused_for_what_is_wrong_with_it(choice: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        read(tools=[CLOCK], tool_choice=choice)

    (error,) = caught.value.errors()
    assert error["loc"][0] == "tool_choice"


def test_an_answer_that_is_to_be_continued_calls_nothing() -> None:
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "he"}]

    with pytest.raises(InvalidRequestError, match="continue_final_message"):
        read(messages=messages, continue_final_message=True, tools=[CLOCK]).prompt()
    read(messages=messages, continue_final_message=True, tools=[CLOCK], tool_choice="none").prompt()


def test_tools_beyond_all_measure_are_refused_at_once() -> None:
    tool = {"type": "function", "function": {"name": "f", "description": "x" * 1000}}
    began = time.perf_counter()

    with pytest.raises(ValueError, match="at most 1024"):
        read(tools=[tool] * 5000)
    assert time.perf_counter() - began < 1
