"""Tools in words, for models whose chat template knows none."""

import json
from collections.abc import Sequence

import msgspec

from hostler.engine.text.chat_template import described
from hostler.tools import ToolUse
from hostler.types import ChatMessage

_CALL = '{"name": <name of the function>, "arguments": {<name of the argument>: <value>}}'


def with_instruction(messages: Sequence[ChatMessage], tool_use: ToolUse, *, takes_system: bool) -> list[ChatMessage]:
    """The conversation, told of the tools in a system message; earlier calls and what they gave are text in it.

    `takes_system`: else the first message that is no system's has the instruction in front.
    """
    turns = _told(messages)
    instruction = _instruction(tool_use)
    if turns and turns[0].role == "system":
        first = turns[0]
        return [msgspec.structs.replace(first, content=f"{instruction}\n\n{first.content}"), *turns[1:]]
    if takes_system or not turns:
        return [ChatMessage(role="system", content=instruction), *turns]
    return [msgspec.structs.replace(turns[0], content=f"{instruction}\n\n{turns[0].content}"), *turns[1:]]


def _instruction(tool_use: ToolUse) -> str:
    functions = [json.dumps(tool["function"], ensure_ascii=False) for tool in described(tool_use.tools)]
    lines = ["You can call these functions:", *functions]
    how = f"with a line of JSON for each call and nothing else: {_CALL}"
    if not tool_use.is_parallel:
        how = f"with one line of JSON and nothing else: {_CALL}"
    if tool_use.name is not None:
        return "\n".join([*lines, f"Call {tool_use.name} now. Answer {how}"])
    if tool_use.is_required:
        return "\n".join([*lines, f"Call what helps to answer now. Answer {how}"])
    return "\n".join([*lines, f"To call a function, answer {how}", "Where no function helps, answer in plain words."])


def _told(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Without roles and fields that such templates leave out or refuse: results of one answer's calls are one turn."""
    turns: list[ChatMessage] = []
    for i, message in enumerate(messages):
        if message.role == "tool":
            result = f"{message.name or 'The function'} gave: {message.content}"
            if i > 0 and messages[i - 1].role == "tool":
                result = f"{turns.pop().content}\n{result}"
            turns.append(ChatMessage(role="user", content=result))
        elif message.tool_calls:
            calls = [
                f'{{"name": {json.dumps(call.name)}, "arguments": {call.arguments}}}' for call in message.tool_calls
            ]
            content = "\n".join([message.content, *calls] if message.content else calls)
            turns.append(msgspec.structs.replace(message, content=content, tool_calls=[]))
        else:
            turns.append(message)
    return turns
