"""The functions that `/v1/responses` takes, and the choice among them."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from hostler.errors import UnsupportedParameterError
from hostler.protocol.constraints import Schema
from hostler.protocol.fields import RequestBody
from hostler.protocol.foreign_fields import refuse_kind
from hostler.protocol.tools import MAX_TOOLS, TOOL_LIST, ToolChoice, tool_use_of
from hostler.tools import Tool, ToolUse

Mode = Literal["none", "auto", "required"]
_HARMLESS = {
    "allowed_callers": (None, ["direct"]),
    "async": (None, False),
    "defer_loading": (None, False),
}
"""Of a function: values that ask for nothing."""
_DROPPED = frozenset({*_HARMLESS, "output_schema"})
"""What a function gives is seen when it has been called."""


class ResponsesFunction(RequestBody):
    type: Literal["function"]
    name: str
    description: str | None = None
    parameters: Schema | None = None
    """JSON schema of its arguments. Default: it takes none."""
    strict: bool | None = None
    """Of calls that have to be made the schema always holds, whatever this says."""

    @model_validator(mode="before")
    @classmethod
    def _functions_only(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        refuse_kind(
            data.get("type"),
            {"function"},
            "tools",
            "tools",
            "nothing is called here: describe a function of your own",
        )
        for name, harmless in _HARMLESS.items():
            if data.get(name) not in harmless:
                raise UnsupportedParameterError(
                    f"{name} of a tool is not supported by this server; leave it out", param="tools"
                )
        return {key: value for key, value in data.items() if key not in _DROPPED}


FunctionTools = Annotated[list[ResponsesFunction], Field(**TOOL_LIST)]


class ResponsesFunctionChoice(RequestBody):
    """The one function that is to be called."""

    type: Literal["function"]
    name: str


class AllowedFunctionsChoice(RequestBody):
    """As if there were no functions but these."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Annotated[list[ResponsesFunctionChoice], Field(min_length=1, max_length=MAX_TOOLS, fail_fast=True)]


def _form_of(choice: Any) -> str:
    """
    Raises:
        UnsupportedParameterError: a choice of what is not called here.
    """
    kind = choice.get("type") if isinstance(choice, dict) else getattr(choice, "type", None)
    known = {"function", "allowed_tools"}
    refuse_kind(kind, known, "tool_choice", "values of tool_choice", "use none, auto, required or a function")
    if kind == "allowed_tools":
        return "allowed_tools"
    return "function" if isinstance(choice, dict | ResponsesFunctionChoice) else "mode"


ToolChoiceField = Annotated[
    Annotated[Mode, Tag("mode")]
    | Annotated[ResponsesFunctionChoice, Tag("function")]
    | Annotated[AllowedFunctionsChoice, Tag("allowed_tools")],
    Discriminator(_form_of),
]


def tool_use(
    tools: list[ResponsesFunction],
    choice: Mode | ResponsesFunctionChoice | AllowedFunctionsChoice | None,
    *,
    is_parallel: bool,
) -> ToolUse | None:
    """
    Raises:
        InvalidRequestError: see `tool_use_of`.
    """
    match choice:
        case ResponsesFunctionChoice(name=name):
            chosen = ToolChoice("required", name)
        case AllowedFunctionsChoice(mode=mode, tools=allowed):
            chosen = ToolChoice(mode, allowed=frozenset(function.name for function in allowed))
        case mode:
            chosen = ToolChoice(mode or "auto")
    known = [
        Tool(name=tool.name, description=tool.description or "", parameters=tool.parameters or {}) for tool in tools
    ]
    return tool_use_of(known, chosen, is_parallel=is_parallel)
