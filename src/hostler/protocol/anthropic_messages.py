"""The conversation of `/v1/messages`: turns of text, thoughts, calls of tools and what they gave."""

import json
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from hostler.errors import InvalidRequestError
from hostler.protocol.fields import RequestBody
from hostler.protocol.foreign_fields import refuse_kind
from hostler.protocol.turns import Turns
from hostler.tools import ToolCall
from hostler.types import ChatMessage

MAX_TURNS = 4096
MAX_BLOCKS = 1024
"""Of one turn."""

_BLOCKS = frozenset({"text", "thinking", "tool_use", "tool_result"})
_BOOKKEEPING = frozenset({"cache_control", "caller", "citations", "signature", "toolset_name"})
"""Of blocks: clients send an earlier answer back as they got it."""


class Block(RequestBody):
    """What all blocks have in common."""

    @model_validator(mode="before")
    @classmethod
    def _without_bookkeeping(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if key not in _BOOKKEEPING}


class TextBlockParam(Block):
    type: Literal["text"]
    text: str


class ThinkingBlockParam(Block):
    """What an assistant thought before it answered, for templates that know it."""

    type: Literal["thinking"]
    thinking: str


class ToolUseBlockParam(Block):
    """A call that an assistant made."""

    type: Literal["tool_use"]
    id: Annotated[str, Field(min_length=1)]
    name: Annotated[str, Field(min_length=1)]
    input: dict[str, Any]


def _as_blocks(value: Any) -> Any:
    if isinstance(value, str):
        return [{"type": "text", "text": value}]
    if not isinstance(value, list):
        raise ValueError("Input should be a string or a list of content blocks")
    for block in value:
        kind = block.get("type") if isinstance(block, dict) else None
        refuse_kind(kind, _BLOCKS, "messages", "content blocks of messages", "send text")
    return value


TextBlocks = Annotated[
    list[TextBlockParam],
    Field(max_length=MAX_BLOCKS, fail_fast=True),
    BeforeValidator(_as_blocks, json_schema_input_type=str | list[TextBlockParam]),
]


class ToolResultBlockParam(Block):
    """What such a call gave."""

    type: Literal["tool_result"]
    tool_use_id: Annotated[str, Field(min_length=1)]
    content: TextBlocks | None = None
    is_error: bool | None = None
    """Accepted; the model reads in the content what went wrong."""


AnyBlock = Annotated[
    TextBlockParam | ThinkingBlockParam | ToolUseBlockParam | ToolResultBlockParam, Field(discriminator="type")
]


class TurnParam(RequestBody):
    """One turn of the conversation."""

    role: Literal["user", "assistant", "system"]
    content: Annotated[
        list[AnyBlock],
        Field(max_length=MAX_BLOCKS, fail_fast=True),
        BeforeValidator(_as_blocks, json_schema_input_type=str | list[AnyBlock]),
    ]


TurnParams = Annotated[list[TurnParam], Field(min_length=1, max_length=MAX_TURNS, fail_fast=True)]


def text_of(blocks: list[TextBlockParam] | None) -> str:
    return "\n".join(block.text for block in blocks or ())


def conversation_of(system: str, turns: list[TurnParam]) -> list[ChatMessage]:
    """The conversation in Hostler's vocabulary. `system`: said before it; empty: nothing.

    Raises:
        InvalidRequestError: a block that the role of its turn cannot have, or a call's result without the call.
    """
    conversation = Turns()
    if system:
        conversation.say("system", system)
    for i, turn in enumerate(turns):
        for block in turn.content:
            if turn.role == "assistant":
                _add_of_assistant(conversation, block, i)
            else:
                _add_of_others(conversation, turn.role, block, i)
    messages = conversation.messages()
    if not messages:
        raise InvalidRequestError("messages have no content; send some text", param="messages")
    return messages


def _add_of_assistant(conversation: Turns, block: AnyBlock, i: int) -> None:
    match block:
        case TextBlockParam(text=text):
            conversation.answer(text)
        case ThinkingBlockParam(thinking=thought):
            if thought:
                conversation.think(thought)
        case ToolUseBlockParam():
            conversation.call(ToolCall(id=block.id, name=block.name, arguments=json.dumps(block.input)))
        case _:
            raise _misplaced(block, "user", i)


def _add_of_others(conversation: Turns, role: Literal["user", "system"], block: AnyBlock, i: int) -> None:
    match block:
        case TextBlockParam(text=text):
            conversation.say(role, text)
        case ToolResultBlockParam() if role == "user":
            conversation.result(block.tool_use_id, text_of(block.content), "messages")
        case _:
            raise _misplaced(block, "assistant" if role == "user" else "user", i)


def _misplaced(block: AnyBlock, role: str, i: int) -> InvalidRequestError:
    return InvalidRequestError(
        f"messages[{i}].content: a block of type {block.type!r} should be in a message of the role {role}",
        param="messages",
    )
