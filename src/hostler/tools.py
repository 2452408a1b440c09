"""Functions of the caller's that a model may call, and its calls."""

from typing import Any

from hostler.struct import Struct


class Tool(Struct, frozen=True, omit_defaults=True):
    """A function that the model is told of."""

    name: str
    """No other tool of the request has it."""
    description: str = ""
    parameters: dict[str, Any] = {}
    """JSON schema of its arguments, an object's; empty: it takes none."""


class ToolUse(Struct, frozen=True, omit_defaults=True):
    """What a conversation offers its model, and what it asks of it."""

    tools: list[Tool]
    """At least one."""
    is_required: bool = False
    """The answer is one call or more; each names a tool and fits its schema, whatever the model."""
    name: str | None = None
    """The one tool that is called, once; `is_required` holds."""
    is_parallel: bool = True
    """The answer may have more calls than one."""
    param: str = "tools"
    """The field of the request that the tools came from; errors name it."""


class ToolCall(Struct, frozen=True):
    """A call that the model made."""

    id: str
    name: str
    arguments: str
    """As the model wrote them; JSON, if it wrote them well."""


class ToolCallDelta(Struct, frozen=True, omit_defaults=True):
    """What is new of one call. Its first delta has the id and the whole name, the others have arguments."""

    index: int
    """Which call of the answer: 0, 1, …; the deltas of one end before those of the next begin."""
    id: str = ""
    name: str = ""
    arguments: str = ""
