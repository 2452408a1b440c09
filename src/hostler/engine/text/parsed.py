"""What an answer's text is made of: what it says, what it thinks, what it calls."""

from dataclasses import dataclass, field
from typing import Protocol

from hostler.tools import ToolCallDelta


@dataclass
class Parsed:
    """What is new, as far as it is certain what it is."""

    text: str = ""
    reasoning: str = ""
    tool_calls: list[ToolCallDelta] = field(default_factory=list)

    def and_then(self, later: "Parsed") -> "Parsed":
        return Parsed(self.text + later.text, self.reasoning + later.reasoning, [*self.tool_calls, *later.tool_calls])


class AnswerParser(Protocol):
    """Reads one answer in pieces. However it is cut into them, what comes of it is the same."""

    @property
    def is_over(self) -> bool:
        """Whether the answer is to end here: no more calls are wanted than it has."""
        ...

    def add(self, piece: str) -> Parsed: ...

    def flush(self) -> Parsed:
        """What was held back; there is no more to come."""
        ...


class PlainText:
    """An `AnswerParser` of what is text and nothing else."""

    is_over = False

    def add(self, piece: str) -> Parsed:
        return Parsed(text=piece)

    def flush(self) -> Parsed:
        return Parsed()
