from typing import Any

import pytest

from hostler.errors import InvalidRequestError
from hostler.protocol.tools import MAX_TOOLS, MAX_TOOLS_CHARS, ToolChoice, tool_use_of
from hostler.tools import Tool, ToolUse

WEATHER = Tool(name="weather", description="Of a city.", parameters={"type": "object", "properties": {"city": {}}})
CLOCK = Tool(name="clock")


def test_tools_and_what_is_asked_of_them_are_handed_on() -> None:
    assert tool_use_of([WEATHER, CLOCK], ToolChoice()) == ToolUse(tools=[WEATHER, CLOCK])
    assert tool_use_of([WEATHER], ToolChoice("required"), is_parallel=False) == ToolUse(
        tools=[WEATHER], is_required=True, is_parallel=False
    )


def test_a_tool_that_is_named_is_called_once() -> None:
    assert tool_use_of([WEATHER, CLOCK], ToolChoice("required", "clock")) == ToolUse(
        tools=[WEATHER, CLOCK], is_required=True, name="clock", is_parallel=False
    )


def test_of_tools_that_may_not_be_called_the_model_is_not_told() -> None:
    choice = ToolChoice("required", allowed=frozenset({"clock"}))

    assert tool_use_of([WEATHER, CLOCK], choice) == ToolUse(tools=[CLOCK], is_required=True)


def test_without_tools_or_with_none_to_be_called_the_model_is_told_of_none() -> None:
    assert tool_use_of([], ToolChoice()) is None
    assert tool_use_of([], ToolChoice("none")) is None
    assert tool_use_of([WEATHER], ToolChoice("none")) is None


@pytest.mark.parametrize(
    ("tools", "choice", "param", "message"),
    [
        ([Tool(name=f"f{i}") for i in range(500)], ToolChoice(), "functions", f"at most {MAX_TOOLS} tools, not 500"),
        ([WEATHER, CLOCK, WEATHER], ToolChoice(), "functions", "the name 'weather' twice"),
        ([WEATHER, WEATHER], ToolChoice("none"), "functions", "twice"),
        ([Tool(name="")], ToolChoice(), "functions", r"functions\[0\] should have a name"),
        ([CLOCK, Tool(name="my tool")], ToolChoice(), "functions", r"functions\[1\] .* not 'my tool'"),
        ([Tool(name="x" * 65)], ToolChoice(), "functions", "1 to 64"),
        ([Tool(name="clock\n")], ToolChoice(), "functions", "1 to 64"),
        ([Tool(name="f", parameters={"type": "array"})], ToolChoice(), "functions", 'type "object", not "array"'),
        ([Tool(name="f", parameters={"type": None})], ToolChoice(), "functions", "not null"),
        ([Tool(name="f", description="x" * MAX_TOOLS_CHARS)], ToolChoice(), "functions", "make them smaller"),
        ([], ToolChoice("required"), "choice", "there are no functions"),
        ([WEATHER], ToolChoice("required", "clock"), "choice", "should name one of functions, not 'clock'"),
        ([WEATHER], ToolChoice(allowed=frozenset({"weather", "clock"})), "choice", "one of functions, not 'clock'"),
    ],
)
def test_what_cannot_be_is_refused_by_the_field_of_the_request(
    tools: list[Tool], choice: ToolChoice, param: str, message: str
) -> None:
    with pytest.raises(InvalidRequestError, match=message) as caught:
        tool_use_of(tools, choice, param="functions", choice_param="choice")

    assert caught.value.param == param


@pytest.mark.parametrize("parameters", [{"type": "x" * 5000}, {"type": ["x"] * 5000}])
def test_of_what_is_wrong_little_is_said_again(parameters: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        tool_use_of([Tool(name="f", parameters=parameters)], ToolChoice())

    assert len(caught.value.message) < 500
