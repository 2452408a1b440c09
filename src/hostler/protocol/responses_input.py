"""What `/v1/responses` takes for its input: messages, and earlier thoughts, calls and their results."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from hostler.errors import InvalidRequestError, UnsupportedParameterError
from hostler.protocol.fields import RequestBody
from hostler.protocol.foreign_fields import refuse_kind
from hostler.protocol.turns import Turns
from hostler.tools import ToolCall
from hostler.types import ChatMessage

MAX_ITEMS = 4096
MAX_PARTS = 1024
"""Of one item."""

_PART_KINDS = frozenset({"input_text", "output_text", "refusal", "reasoning_text", "summary_text"})
_ITEM_KINDS = frozenset({"message", "function_call", "function_call_output", "reasoning"})
_BOOKKEEPING = frozenset({"id", "status", "phase"})
"""Of items: clients send an earlier answer back as they got it."""


class InputPart(RequestBody):
    type: Literal["input_text", "output_text", "reasoning_text", "summary_text"]
    text: str

    @model_validator(mode="before")
    @classmethod
    def _without_bookkeeping(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        refuse_kind(data.get("type"), _PART_KINDS, "input", "content parts of input", "send text")
        if data.get("type") == "refusal" and "refusal" in data:
            return {"type": "output_text", "text": data["refusal"]}
        dropped = ("annotations", "logprobs", "prompt_cache_breakpoint")
        return {key: value for key, value in data.items() if key not in dropped}


def _as_parts(value: Any) -> Any:
    if isinstance(value, str):
        return [{"type": "input_text", "text": value}]
    if not isinstance(value, list):
        raise ValueError("Input should be a string or a list of text parts")
    return value


Parts = Annotated[list[InputPart], Field(max_length=MAX_PARTS, fail_fast=True)]
Content = Annotated[Parts, BeforeValidator(_as_parts, json_schema_input_type=str | list[InputPart])]


def _text(parts: list[InputPart]) -> str:
    return "\n".join(part.text for part in parts)


class InputItem(RequestBody):
    """What all items have in common."""

    @model_validator(mode="before")
    @classmethod
    def _without_bookkeeping(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        _refuse_what_would_be_lost(data)
        dropped = {*_BOOKKEEPING, "async", "caller", "encrypted_content", "namespace"}
        return {key: value for key, value in data.items() if key not in dropped}


def _refuse_what_would_be_lost(item: Mapping[str, Any]) -> None:
    lost = {
        "async": item.get("async") not in (None, False),
        "caller": item.get("caller") not in (None, {"type": "direct"}),
        "encrypted_content": bool(item.get("encrypted_content")),
        "namespace": item.get("namespace") is not None,
    }
    for name, is_lost in lost.items():
        if is_lost:
            raise UnsupportedParameterError(
                f"{name} in items of input is not supported by this server; leave it out", param="input"
            )


class InputMessage(InputItem):
    type: Literal["message"] | None = None
    role: Literal["user", "assistant", "system", "developer"]
    content: Content


class InputFunctionCall(InputItem):
    """A call that an answer made of a function of the caller's."""

    type: Literal["function_call"]
    call_id: Annotated[str, Field(min_length=1)]
    name: Annotated[str, Field(min_length=1)]
    arguments: str


class InputFunctionCallOutput(InputItem):
    """What such a call gave."""

    type: Literal["function_call_output"]
    call_id: Annotated[str, Field(min_length=1)]
    output: Content
    name: str | None = None
    """Accepted; the call has it."""


class InputReasoning(InputItem):
    """What an assistant thought before it answered, for templates that know it."""

    type: Literal["reasoning"]
    summary: Parts | None = None
    content: Parts | None = None
    """Taken in place of the summary, where it is there."""


def _kind_of(item: Any) -> str | None:
    """
    Raises:
        UnsupportedParameterError: an item of a kind that is not taken.
    """
    kind = item.get("type") if isinstance(item, dict) else getattr(item, "type", None)
    if kind is None and isinstance(item, dict) and "role" not in item and "id" in item:
        kind = "item_reference"
    if kind == "item_reference":
        raise UnsupportedParameterError(
            "input refers to an earlier item, and nothing is stored here: send the item itself (some clients do with"
            ' "store": false)',
            param="input",
        )
    refuse_kind(kind, _ITEM_KINDS, "input", "items of input", "leave such items out")
    return "message" if kind is None else str(kind)


Item = Annotated[
    Annotated[InputMessage, Tag("message")]
    | Annotated[InputFunctionCall, Tag("function_call")]
    | Annotated[InputFunctionCallOutput, Tag("function_call_output")]
    | Annotated[InputReasoning, Tag("reasoning")],
    Discriminator(_kind_of),
]


def _as_items(value: Any) -> Any:
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    if not isinstance(value, list):
        raise ValueError("Input should be a string or a list of items")
    return value


Items = Annotated[
    list[Item],
    Field(min_length=1, max_length=MAX_ITEMS, fail_fast=True),
    BeforeValidator(_as_items, json_schema_input_type=str | list[Item]),
]


def conversation_of(instructions: str | None, items: list[Item]) -> list[ChatMessage]:
    """The input in Hostler's vocabulary; a developer speaks as the system does.

    Raises:
        InvalidRequestError: a call's result without the call, or nothing but thoughts.
    """
    turns = Turns()
    if instructions:
        turns.say("system", instructions)
    for item in items:
        match item:
            case InputMessage(role="assistant", content=content):
                turns.answer(_text(content))
            case InputMessage(role="user", content=content):
                turns.say("user", _text(content))
            case InputMessage(content=content):
                turns.say("system", _text(content))
            case InputFunctionCall():
                turns.call(ToolCall(id=item.call_id, name=item.name, arguments=item.arguments))
            case InputFunctionCallOutput():
                turns.result(item.call_id, _text(item.output), "input")
            case InputReasoning():
                if thought := _text(item.content or item.summary or []):
                    turns.think(thought)
    messages = turns.messages()
    if not messages:
        raise InvalidRequestError("input has no message; send one", param="input")
    return messages
