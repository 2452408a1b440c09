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
        self._said: tuple[Literal["system", "user"], list[str]] | None = None
        """By whom, and its texts: the message of another's that is being put together."""
        self._thoughts: list[str] = []
        self._texts: list[str] = []
        self._calls: list[ToolCall] = []
        """These three are of an assistant's."""

    def say(self, role: Literal["system", "user"], text: str) -> None:
        """What a system or a user says; a further text of the same role continues the one before."""
        if self._said is None or self._said[0] != role:
            self._end_message()
            self._said = role, []
        self._said[1].append(text)

    def think(self, text: str) -> None:
        """What an assistant thought. It begins a message, unless the last piece was a thought as well."""
        if self._said or self._texts or self._calls:
            self._end_message()
        self._thoughts.append(text)

    def answer(self, text: str) -> None:
        """What an assistant said."""
        if self._said or self._calls:
            self._end_message()
        self._texts.append(text)

    def call(self, call: ToolCall) -> None:
        """What an assistant called."""
        if self._said:
            self._end_message()
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
        self._end_message()
        self._messages.append(
            ChatMessage(role="tool", content=text, name=self._functions[call_id], tool_call_id=call_id)
        )

    def messages(self) -> list[ChatMessage]:
        """All of it. Nothing may be added after that."""
        self._end_message()
        return self._messages

    def _end_message(self) -> None:
        if self._said is not None:
            role, texts = self._said
            self._messages.append(ChatMessage(role=role, content="\n".join(texts)))
        if self._thoughts or self._texts or self._calls:
            self._messages.append(
                ChatMessage(
                    role="assistant",
                    content="\n".join(self._texts),
                    reasoning_content="\n".join(self._thoughts) or None,
                    tool_calls=self._calls,
                )
            )
        self._said, self._thoughts, self._texts, self._calls = None, [], [], []
