"""A conversation put together from the pieces in which dialects send it: texts, thoughts, calls and their results."""

from typing import Literal

from hostler.errors import InvalidRequestError
from hostler.tools import ToolCall
from hostler.types import ChatMessage


class Turns:
    """Joins what one side says in a row: an assistant's thoughts, text and calls are one message, in this order."""

    def __init__(self) -> None:
        self._messages: list[ChatMessage] = []
        self._functions: dict[str, str] = {}
        """By the id of a call, the function that it called."""
        self._thoughts: list[str] = []
        self._texts: list[str] = []
        self._calls: list[ToolCall] = []
        """These three are of the assistant's message that is being put together."""

    def say(self, role: Literal["system", "user"], text: str) -> None:
        """What a system or a user says; a further text of the same role continues the one before."""
        self._end_assistant()
        last = self._messages[-1] if self._messages else None
        if last is not None and last.role == role:
            self._messages[-1] = ChatMessage(role=role, content=f"{last.content}\n{text}")
        else:
            self._messages.append(ChatMessage(role=role, content=text))

    def think(self, text: str) -> None:
        """What an assistant thought. It begins a message, unless the last piece was a thought as well."""
        if self._texts or self._calls:
            self._end_assistant()
        self._thoughts.append(text)

    def answer(self, text: str) -> None:
        """What an assistant said."""
        if self._calls:
            self._end_assistant()
        self._texts.append(text)

    def call(self, call: ToolCall) -> None:
        """What an assistant called."""
        self._calls.append(call)
        self._functions[call.id] = call.name

    def result(self, call_id: str, text: str, param: str) -> None:
        """What a call gave.

        Raises:
            InvalidRequestError: there is no such call before it; `param` is the field at fault.
        """
        if call_id not in self._functions:
            raise InvalidRequestError(
                f"{param} has a result of the call {call_id[:40]!r}, and no call of that id before it; send the call"
                " too",
                param=param,
            )
        self._end_assistant()
        self._messages.append(
            ChatMessage(role="tool", content=text, name=self._functions[call_id], tool_call_id=call_id)
        )

    def messages(self) -> list[ChatMessage]:
        """All of it. Nothing may be added after that."""
        self._end_assistant()
        return self._messages

    def _end_assistant(self) -> None:
        if self._thoughts or self._texts or self._calls:
            self._messages.append(
                ChatMessage(
                    role="assistant",
                    content="\n".join(self._texts),
                    reasoning_content="\n".join(self._thoughts) or None,
                    tool_calls=self._calls,
                )
            )
        self._thoughts, self._texts, self._calls = [], [], []
