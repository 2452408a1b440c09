"""The conversation of a chat completion: roles, content, and earlier calls of tools with what they gave."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from hostler.errors import UnsupportedParameterError
from hostler.protocol.fields import Integer, RequestBody
from hostler.protocol.foreign_fields import refuse_kind
from hostler.tools import ToolCall
from hostler.types import ChatMessage

MAX_MESSAGES = 4096
MAX_PARTS = 1024
"""Of one message."""
MAX_TOOL_CALLS = 128
"""Of one message."""
_EMPTY_IN_HISTORY = ("function_call", "audio")
"""Clients send an earlier answer back as they got it; with a value, these would change the prompt."""
_DROPPED_FROM_HISTORY = frozenset({*_EMPTY_IN_HISTORY, "annotations", "refusal"})


class TextPart(RequestBody):
    type: Literal["text"]
    text: str
    prompt_cache_breakpoint: dict[str, Any] | None = None
    """Accepted; what is kept of prompts is found without."""


def _as_parts(value: Any) -> Any:
    if isinstance(value, str):
        return [{"type": "text", "text": value}]
    if not isinstance(value, list):
        raise ValueError("Input should be a string or a list of text parts")
    return value


Content = Annotated[
    list[TextPart],
    Field(min_length=1, max_length=MAX_PARTS, fail_fast=True),
    BeforeValidator(_as_parts, json_schema_input_type=str | list[TextPart]),
]


class CalledFunction(RequestBody):
    name: Annotated[str, Field(min_length=1)]
    arguments: str
    """As the model wrote them; templates get an object where it is one in JSON."""


class MessageToolCall(RequestBody):
    """A call that an answer made of a function of the caller's."""

    id: Annotated[str, Field(min_length=1)]
    type: Literal["function"] = "function"
    function: CalledFunction
    index: Integer | None = None
    """Accepted; clients that join a stream's chunks send it back."""


ToolCalls = Annotated[list[MessageToolCall], Field(max_length=MAX_TOOL_CALLS, fail_fast=True)]


class Message(RequestBody):
    """One turn of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    reasoning_content: str | None = None
    """What an assistant thought before it answered, for templates that know it."""
    tool_calls: ToolCalls | None = None
    """What an assistant called."""
    tool_call_id: Annotated[str | None, Field(validate_default=True)] = None
    """The call that a message of the role tool answers; one of an earlier message."""
    content: Annotated[Content | None, Field(validate_default=True)] = None
    """May be left out beside `tool_calls` alone."""
    name: str | None = None
    """Of the speaker, for templates that know it. In messages of the role tool, by default that of the function."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_what_would_be_lost(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        for name in _EMPTY_IN_HISTORY:
            if data.get(name) not in (None, []):
                raise UnsupportedParameterError(
                    f"{name} in messages is not supported by this server; leave such messages out", param="messages"
                )
        _refuse_other_kinds(data.get("content"), "text", "content parts", "send text")
        _refuse_other_kinds(data.get("tool_calls"), "function", "tool_calls", "leave such messages out")
        return {key: value for key, value in data.items() if key not in _DROPPED_FROM_HISTORY}

    @field_validator("reasoning_content", "tool_calls")
    @classmethod
    def _of_an_assistant(cls, value: Any, info: ValidationInfo) -> Any:
        if value and info.data.get("role") not in (None, "assistant"):
            raise ValueError("Input is allowed only in messages of the role assistant")
        return value

    @field_validator("tool_call_id")
    @classmethod
    def _of_a_tool(cls, value: str | None, info: ValidationInfo) -> str | None:
        role = info.data.get("role")
        if role == "tool" and not value:
            raise ValueError("Input should be the id of the call that this message of the role tool answers")
        if value is not None and role not in (None, "tool"):
            raise ValueError("Input is allowed only in messages of the role tool")
        return value

    @field_validator("content")
    @classmethod
    def _needed_but_beside_calls(cls, value: list[TextPart] | None, info: ValidationInfo) -> list[TextPart] | None:
        if value is None and not info.data.get("tool_calls"):
            raise ValueError("Input should be a string or a list of text parts")
        return value

    @property
    def text(self) -> str:
        return "\n".join(part.text for part in self.content or ())


def _refuse_other_kinds(items: Any, known: str, what: str, remedy: str) -> None:
    for item in items if isinstance(items, list) else ():
        refuse_kind(item.get("type") if isinstance(item, dict) else None, {known}, "messages", what, remedy)


def _calls_before_answers(messages: list[Message]) -> list[Message]:
    called: set[str] = set()
    for i, message in enumerate(messages):
        if message.tool_call_id is not None and message.tool_call_id not in called:
            raise ValueError(
                f"Input[{i}].tool_call_id should be the id of a call in an earlier message, not"
                f" {message.tool_call_id[:40]!r}"
            )
        called.update(call.id for call in message.tool_calls or ())
    return messages


Messages = Annotated[
    list[Message], Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True), AfterValidator(_calls_before_answers)
]


def checked_continuation(value: bool | None, info: ValidationInfo) -> bool | None:
    """What the validator of `continue_final_message` does; `messages` and `add_generation_prompt` stand before it."""
    if value and info.data.get("add_generation_prompt"):
        raise ValueError("Input should not be true beside add_generation_prompt; leave one of them out")
    messages = info.data.get("messages")
    if value and messages and not (messages[-1].role == "assistant" and messages[-1].text):
        raise ValueError("Input should be true only where the last message is an assistant's, with content")
    return value


def chat_messages(messages: Sequence[Message]) -> list[ChatMessage]:
    """The conversation in Hostler's vocabulary; a developer speaks as the system does."""
    functions: dict[str, str] = {}
    conversation: list[ChatMessage] = []
    for message in messages:
        calls = [
            ToolCall(id=call.id, name=call.function.name, arguments=call.function.arguments)
            for call in message.tool_calls or ()
        ]
        functions.update((call.id, call.name) for call in calls)
        conversation.append(
            ChatMessage(
                role="system" if message.role == "developer" else message.role,
                content=message.text,
                name=message.name or functions.get(message.tool_call_id or ""),
                reasoning_content=message.reasoning_content,
                tool_calls=calls,
                tool_call_id=message.tool_call_id,
            )
        )
    return conversation
