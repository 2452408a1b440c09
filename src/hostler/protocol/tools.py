"""Tools as every dialect bounds them: from what a request has of functions to what a conversation offers its model."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hostler.errors import InvalidRequestError
from hostler.tools import Tool, ToolUse

MAX_TOOLS = 128
TOOL_LIST: dict[str, Any] = {
    "max_length": 1024,
    "fail_fast": True,
    "json_schema_extra": {"maxItems": MAX_TOOLS},
}
"""Of the field that lists them: more are read than there may be, so that the error can say how many there are."""
MAX_TOOLS_CHARS = 128 * 1024
"""Of all tools together, as JSON. Grammars of more take seconds to compile."""
MAX_ECHOED_CHARS = 80
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class ToolChoice:
    """What a request asks of its tools."""

    mode: Literal["auto", "none", "required"] = "auto"
    name: str | None = None
    """The one that is to be called; `mode` is `required`."""
    allowed: frozenset[str] | None = None
    """Those of which alone the model is told; `None`: all."""

    @property
    def names(self) -> frozenset[str]:
        """All that it names."""
        return (self.allowed or frozenset()) | ({self.name} if self.name is not None else frozenset())


def tool_use_of(
    tools: Sequence[Tool],
    choice: ToolChoice,
    *,
    is_parallel: bool = True,
    param: str = "tools",
    choice_param: str = "tool_choice",
) -> ToolUse | None:
    """`None`: the model is told of no tools. Those that may not be called are checked all the same.

    `param`, `choice_param`: the fields of the request, for its errors.

    Raises:
        InvalidRequestError: too many tools or too large ones, a name that is none or comes twice, parameters that are
            no object's, a choice of what is not there.
    """
    if len(tools) > MAX_TOOLS:
        raise InvalidRequestError(
            f"{param} should have at most {MAX_TOOLS} tools, not {len(tools)}; leave some of them out", param=param
        )
    _check_names(tools, param)
    for i, tool in enumerate(tools):
        _check_parameters(tool.parameters, f"{param}[{i}]", param)
    _check_size(tools, param)
    if not tools and choice.mode == "required":
        raise InvalidRequestError(f"{choice_param} asks for a call, and there are no {param}", param=choice_param)
    if unknown := choice.names - {tool.name for tool in tools}:
        raise InvalidRequestError(
            f"{choice_param} should name one of {param}, not {min(unknown)[:MAX_ECHOED_CHARS]!r}", param=choice_param
        )
    if not tools or choice.mode == "none":
        return None
    return ToolUse(
        tools=[tool for tool in tools if choice.allowed is None or tool.name in choice.allowed],
        is_required=choice.mode == "required",
        name=choice.name,
        is_parallel=is_parallel and choice.name is None,
        param=param,
    )


def _check_names(tools: Sequence[Tool], param: str) -> None:
    known: set[str] = set()
    for i, tool in enumerate(tools):
        if not _NAME.fullmatch(tool.name):
            raise InvalidRequestError(
                f"{param}[{i}] should have a name of 1 to 64 letters, digits, _ and -, not"
                f" {tool.name[:MAX_ECHOED_CHARS]!r}",
                param=param,
            )
        if tool.name in known:
            raise InvalidRequestError(
                f"{param} has the name {tool.name!r} twice; give each tool a name of its own", param=param
            )
        known.add(tool.name)


def _check_parameters(parameters: dict[str, Any], what: str, param: str) -> None:
    kind = parameters.get("type", "object")
    if kind != "object":
        raise InvalidRequestError(
            f'{what} should have parameters of the type "object", not {json.dumps(kind)[:MAX_ECHOED_CHARS]}',
            param=param,
        )


def _check_size(tools: Sequence[Tool], param: str) -> None:
    num_chars = sum(len(tool.name) + len(tool.description) + len(json.dumps(tool.parameters)) for tool in tools)
    if num_chars > MAX_TOOLS_CHARS:
        raise InvalidRequestError(
            f"{param} have {num_chars} characters, more than {MAX_TOOLS_CHARS}; make them smaller", param=param
        )
