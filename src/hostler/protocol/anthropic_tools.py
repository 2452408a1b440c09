"""The tools that `/v1/messages` takes, and the choice among them."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from hostler.errors import UnsupportedParameterError
from hostler.protocol.constraints import Schema
from hostler.protocol.fields import RequestBody
from hostler.protocol.foreign_fields import refuse_kind
from hostler.protocol.tools import TOOL_LIST, ToolChoice, tool_use_of
from hostler.tools import Tool, ToolUse

_HARMLESS: dict[str, tuple[Any, ...]] = {
    "allowed_callers": (None, ["direct"]),
    "defer_loading": (None, False),
    "input_examples": (None, []),
}
"""Of a tool: values that ask for nothing."""
_DROPPED = frozenset({*_HARMLESS, "cache_control", "eager_input_streaming"})


class CustomTool(RequestBody):
    """A function of the caller's that the model may call."""

    type: Literal["custom"] | None = None
    name: str
    description: str | None = None
    input_schema: Schema
    """JSON schema of its input, an object's."""
    strict: bool | None = None
    """Of calls that have to be made the schema always holds, whatever this says."""

    @model_validator(mode="before")
    @classmethod
    def _custom_only(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        refuse_kind(data.get("type"), {"custom"}, "tools", "tools", "nothing is run here: describe a tool of your own")
        for name, harmless in _HARMLESS.items():
            if data.get(name) not in harmless:
                raise UnsupportedParameterError(
                    f"{name} of a tool is not supported by this server; leave it out", param="tools"
                )
        return {key: value for key, value in data.items() if key not in _DROPPED}


CustomTools = Annotated[list[CustomTool], Field(**TOOL_LIST)]


class AnthropicToolChoice(RequestBody):
    type: Literal["auto", "any", "tool", "none"]
    """`any`: the answer is a call; `tool`: it is one of the tool named."""
    name: str | None = None
    disable_parallel_tool_use: bool | None = None
    """The answer has one call at most. Default false."""

    @model_validator(mode="after")
    def _a_name_where_it_is_needed(self) -> "AnthropicToolChoice":
        if (self.type == "tool") != (self.name is not None):
            raise ValueError('Input should have a name where its type is "tool", and nowhere else')
        return self


def tool_use(tools: list[CustomTool], choice: AnthropicToolChoice | None) -> ToolUse | None:
    """
    Raises:
        InvalidRequestError: see `tool_use_of`.
    """
    match choice:
        case None | AnthropicToolChoice(type="auto"):
            chosen = ToolChoice("auto")
        case AnthropicToolChoice(type="none"):
            chosen = ToolChoice("none")
        case AnthropicToolChoice(name=name):
            chosen = ToolChoice("required", name)
    known = [Tool(name=tool.name, description=tool.description or "", parameters=tool.input_schema) for tool in tools]
    return tool_use_of(known, chosen, is_parallel=choice is None or not choice.disable_parallel_tool_use)
