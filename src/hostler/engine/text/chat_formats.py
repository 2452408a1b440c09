"""How models without a chat template are prompted with a conversation."""

from collections.abc import Sequence

import msgspec

from hostler.types import ChatFormat, ChatMessage

_SPEAKERS = {"system": "", "user": "Human: ", "assistant": "Assistant: ", "tool": "Tool: "}


def spell(
    chat_format: ChatFormat, messages: Sequence[ChatMessage], end: str, *, add_generation_prompt: bool, is_open: bool
) -> str:
    """The conversation as one text, in any format but `TEMPLATE`.

    `end`: the end-of-text token. `is_open`: the last message goes on. Calls of tools are lines of JSON after the text
    of their message; names, ids and thoughts are left out.
    """
    texts = [_text(message) for message in messages]
    match chat_format:
        case ChatFormat.EOS_TURNS:
            text = "".join(text + end for text in texts)
            return text.removesuffix(end) if is_open else text
        case ChatFormat.HUMAN_ASSISTANT:
            lines = [_SPEAKERS[message.role] + text for message, text in zip(messages, texts, strict=True)]
            return "\n".join([*lines, "Assistant:"] if add_generation_prompt else lines)
        case _:
            return "\n".join(texts)


def _text(message: ChatMessage) -> str:
    calls = [
        msgspec.json.encode({"name": call.name, "arguments": call.arguments}).decode() for call in message.tool_calls
    ]
    return "\n".join([message.content, *calls] if message.content else calls)
