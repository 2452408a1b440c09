"""A conversation in the words of a model's own chat template, by transformers' sandboxed renderer."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import jinja2
import msgspec
from transformers.utils.chat_template_utils import render_jinja_template

from hostler.errors import InvalidRequestError
from hostler.struct import Struct
from hostler.tools import Tool
from hostler.types import ChatMessage, Reasoning

MAX_CPU_S = 0.75
"""For all renderings of one request. A conversation of 4,000 turns takes the longest templates in use a tenth of it."""
MAX_OWN_CHARS = 2**18
"""What a template may add to a conversation; the longest in use add a hundredth of it."""
MAX_GROWTH = 8
"""How often a template may write a character of the conversation. JSON spells some of them with six."""
MAX_REASON_CHARS = 200
"""Of a template's own words; a conversation may be among them."""


class TemplateCall(Struct, frozen=True):
    """All that a template is rendered from. The template is the model's, never a request's."""

    template: str
    special_tokens: dict[str, str]
    """By name, such as `bos_token`; templates write them out."""
    messages: list[ChatMessage]
    add_generation_prompt: bool
    continue_last: bool
    tools: list[Tool] = []
    reasoning: Reasoning = Reasoning()
    cpu_limit_s: float = MAX_CPU_S
    """Seconds of computing that the rendering may take."""


class Rendered(Struct, frozen=True):
    text: str
    cpu_s: float
    """Seconds of computing that it took."""


Render = Callable[[TemplateCall], Rendered]
"""Raises what `render` raises, and keeps to the call's `cpu_limit_s`."""


def render(call: TemplateCall) -> Rendered:
    """Render in this thread. Nothing here ends a template that does not end by itself; `hostler.worker` does.

    Raises:
        InvalidRequestError: the template refuses the conversation, or fails on it.
    """
    began_s = time.thread_time()
    try:
        ((text,), _) = render_jinja_template(
            conversations=[conversation(call.messages)],
            tools=described(call.tools) or None,
            chat_template=call.template,
            add_generation_prompt=call.add_generation_prompt,
            continue_final_message=call.continue_last,
            **_switches(call.reasoning),
            **call.special_tokens,
        )
        # A template can write what is no text, and no message can carry.
        text.encode()
    except jinja2.TemplateError as exc:
        raise InvalidRequestError(
            f"the model's chat template refuses this conversation: {str(exc)[:MAX_REASON_CHARS]}", param="messages"
        ) from exc
    except MemoryError as exc:
        raise takes_too_much() from exc
    except Exception as exc:
        # ValueError is also how transformers says it, with the whole conversation in its words.
        if call.continue_last and isinstance(exc, ValueError):
            raise InvalidRequestError(
                "the model's chat template changes the last message, so that it cannot be continued; leave"
                " continue_final_message out",
                param="messages",
            ) from exc
        raise InvalidRequestError(
            f"the model's chat template is at fault: it fails on this conversation ({type(exc).__name__})",
            param="messages",
        ) from exc
    num_chars = sum(map(_num_chars, call.messages)) + sum(len(msgspec.json.encode(tool)) for tool in call.tools)
    if len(text) > MAX_OWN_CHARS + MAX_GROWTH * num_chars:
        raise InvalidRequestError(
            f"the model's chat template is at fault: it makes {len(text)} characters of a conversation of {num_chars}",
            param="messages",
        )
    return Rendered(text=text, cpu_s=time.thread_time() - began_s)


def takes_too_much() -> InvalidRequestError:
    """For a template that was stopped."""
    return InvalidRequestError(
        f"the model's chat template is at fault: for this conversation it takes more than {MAX_CPU_S} seconds of"
        " computing, or more memory than it may have",
        param="messages",
    )


def conversation(messages: Sequence[ChatMessage]) -> list[dict[str, Any]]:
    """Messages as transformers documents them for templates. Keys without a value are left out."""
    return [_as_dict(message) for message in messages]


def described(tools: Sequence[Tool]) -> list[dict[str, Any]]:
    """Tools as transformers documents them for templates. Parameters are always there: templates go through them."""
    return [{"type": "function", "function": _function(tool)} for tool in tools]


def _switches(reasoning: Reasoning) -> dict[str, Any]:
    """By the names that families of templates have for them. One left out is as the template has it."""
    switches: dict[str, Any] = {}
    if reasoning.is_on is not None:
        switches |= {"enable_thinking": reasoning.is_on, "thinking": reasoning.is_on}
    if reasoning.effort is not None:
        switches["reasoning_effort"] = reasoning.effort
    return switches


def _function(tool: Tool) -> dict[str, Any]:
    description = {"description": tool.description} if tool.description else {}
    return {"name": tool.name, **description, "parameters": tool.parameters or {"type": "object", "properties": {}}}


def _as_dict(message: ChatMessage) -> dict[str, Any]:
    fields: dict[str, Any] = {"role": message.role, "content": message.content}
    for name in ("name", "reasoning_content", "tool_call_id"):
        if (value := getattr(message, name)) is not None:
            fields[name] = value
    if message.tool_calls:
        fields["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": _arguments(call.arguments)},
            }
            for call in message.tool_calls
        ]
    return fields


def _arguments(written: str) -> dict[str, Any] | str:
    """What templates go through by name, where the model wrote it well; else its own words."""
    try:
        return msgspec.json.decode(written, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return written


def _num_chars(message: ChatMessage) -> int:
    calls = sum(len(call.id) + len(call.name) + len(call.arguments) for call in message.tool_calls)
    optional = (message.name, message.reasoning_content, message.tool_call_id)
    return calls + len(message.content) + sum(len(value) for value in optional if value is not None)
