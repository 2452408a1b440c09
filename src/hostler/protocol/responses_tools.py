"""The functions that `/v1/responses` takes, and the choice among them."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from hostler.errors import UnsupportedParameterError
from hostler.protocol.constraints import Schema
from hostler.protocol.fields import RequestBody
from hostler.protocol.foreign_fields import refuse_kind
from hostler.protocol.tools import ToolChoice, tool_use_of
from hostler.tools import Tool, ToolUse

MAX_TOOLS_READ = 1024
"""So that the error can say how many there may be."""
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


FunctionTools = Annotated[list[ResponsesFunction], Field(max_length=MAX_TOOLS_READ, fail_fast=True)]


class ResponsesFunctionChoice(RequestBody):
    """The one function that is to be called."""

    type: Literal["function"]
    name: str


def _refuse_built_in(value: Any) -> Any:
    if isinstance(value, dict):
        refuse_kind(
            value.get("type"),
            {"function"},
            "tool_choice",
            "values of tool_choice",
            "use none, auto, required or a function",
        )
    return value


ToolChoiceField = Annotated[
    Literal["none", "auto", "required"] | ResponsesFunctionChoice,
    BeforeValidator(
        _refuse_built_in, json_schema_input_type=Literal["none", "auto", "required"] | ResponsesFunctionChoice
    ),
]


def tool_use(
    tools: list[ResponsesFunction],
    choice: Literal["none", "auto", "required"] | ResponsesFunctionChoice | None,
    *,
    is_parallel: bool,
) -> ToolUse | None:
    """
    Raises:
        InvalidRequestError: see `tool_use_of`.
    """
    if isinstance(choice, ResponsesFunctionChoice):
        chosen = ToolChoice(mode="required", name=choice.name)
    else:
        chosen = ToolChoice(mode=choice or "auto")
    known = [
        Tool(name=tool.name, description=tool.description or "", parameters=tool.parameters or {}) for tool in tools
    ]
    return tool_use_of(known, chosen, is_parallel=is_parallel)
