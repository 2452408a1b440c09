"""Tools as chat completions name them: functions, and which of them is to be called."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Discriminator, Field, Tag

from hostler.protocol.fields import RequestBody
from hostler.protocol.foreign_fields import refuse_kind
from hostler.protocol.tools import MAX_TOOLS, TOOL_LIST, ToolChoice
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


class AllowedFunctions(RequestBody):
    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedToolChoice], Field(min_length=1, max_length=MAX_TOOLS, fail_fast=True)]


class AllowedToolsChoice(RequestBody):
    """As if there were no tools but these."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedFunctions


def _functions_alone(value: Any) -> Any:
    for tool in value if isinstance(value, list) else ():
        refuse_kind(_kind_of(tool), {"function"}, "tools", "tools", 'use type "function"')
    return value


def _known_choice(value: Any) -> Any:
    if not isinstance(value, dict) and value not in get_args(Mode):
        raise ValueError(
            'Input should be \'auto\', \'none\', \'required\' or {"type": "function", "function": {"name": …}}'
        )
    refuse_kind(
        _kind_of(value),
        {"function", "allowed_tools"},
        "tool_choice",
        "values of tool_choice",
        "use none, auto, required or a function",
    )
    return value


def _kind_of(value: Any) -> Any:
    return value.get("type") if isinstance(value, dict) else None


def _form_of(choice: Any) -> str:
    """Of a choice that has passed `_known_choice`, or has been read already."""
    if isinstance(choice, str):
        return "mode"
    return "allowed_tools" if "allowed_tools" in (_kind_of(choice), getattr(choice, "type", None)) else "function"


Tools = Annotated[list[FunctionTool], Field(**TOOL_LIST), BeforeValidator(_functions_alone)]
Choice = Annotated[
    Annotated[Mode, Tag("mode")]
    | Annotated[NamedToolChoice, Tag("function")]
    | Annotated[AllowedToolsChoice, Tag("allowed_tools")],
    Discriminator(_form_of),
    BeforeValidator(_known_choice),
]


def tools_of(tools: Sequence[FunctionTool] | None) -> list[Tool]:
    return [tool.as_tool() for tool in tools or ()]


def choice_of(choice: Mode | NamedToolChoice | AllowedToolsChoice | None) -> ToolChoice:
    match choice:
        case NamedToolChoice(function=function):
            return ToolChoice("required", function.name)
        case AllowedToolsChoice(allowed_tools=allowed):
            return ToolChoice(allowed.mode, allowed=frozenset(tool.function.name for tool in allowed.tools))
        case mode:
            return ToolChoice(mode or "auto")
