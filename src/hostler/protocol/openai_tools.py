"""Tools as chat completions name them: functions, and which of them is to be called."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field

from hostler.errors import UnsupportedParameterError
from hostler.protocol.fields import RequestBody
from hostler.protocol.tools import MAX_TOOLS, ToolChoice
from hostler.tools import Tool

Mode = Literal["auto", "none", "required"]


class Function(RequestBody):
    name: str
    """1 to 64 letters, digits, `_` and `-`; no other tool has it."""
    description: str | None = None
    """When and how to call it, in the words that the model is told."""
    parameters: dict[str, Any] | None = None
    """JSON Schema of its arguments, an object's. Default: it takes none."""
    strict: bool | None = None
    """Arguments fit the schema where a call is asked for, whatever this says; where it is left to the model, they are
    its own."""


class FunctionTool(RequestBody):
    """A function of the caller's that the model may call."""

    type: Literal["function"]
    function: Function

    def as_tool(self) -> Tool:
        function = self.function
        return Tool(name=function.name, description=function.description or "", parameters=function.parameters or {})


class NamedFunction(RequestBody):
    name: str


class NamedToolChoice(RequestBody):
    """This function is called, once."""

    type: Literal["function"]
    function: NamedFunction


def _functions_alone(value: Any) -> Any:
    for tool in value if isinstance(value, list) else ():
        _refuse_other_kind(tool, "tools", "tools")
    return value


def _known_choice(value: Any) -> Any:
    if not isinstance(value, dict) and value not in get_args(Mode):
        raise ValueError(
            'Input should be \'auto\', \'none\', \'required\' or {"type": "function", "function": {"name": …}}'
        )
    _refuse_other_kind(value, "tool_choice", "a tool_choice")
    return value


def _refuse_other_kind(value: Any, param: str, what: str) -> None:
    kind = value.get("type") if isinstance(value, dict) else None
    if isinstance(kind, str) and kind != "function":
        raise UnsupportedParameterError(
            f'{what} of type {kind[:40]!r} is not supported by this server; use type "function"', param=param
        )


Tools = Annotated[list[FunctionTool], Field(max_length=MAX_TOOLS, fail_fast=True), BeforeValidator(_functions_alone)]
Choice = Annotated[Mode | NamedToolChoice, BeforeValidator(_known_choice)]


def tools_of(tools: Sequence[FunctionTool] | None) -> list[Tool]:
    return [tool.as_tool() for tool in tools or ()]


def choice_of(choice: Mode | NamedToolChoice | None) -> ToolChoice:
    if isinstance(choice, NamedToolChoice):
        return ToolChoice("required", choice.function.name)
    return ToolChoice(choice or "auto")
