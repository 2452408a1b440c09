"""How the text of one answer is to be read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hostler.engine.text.call_syntax import CallSyntax
from hostler.engine.text.reasoning import Thinking


@dataclass(frozen=True)
class ResponseTemplate:
    """What a tokenizer says itself of its model's answers, for transformers' parser."""

    template: Mapping[str, Any]
    prompt_text: str
    """Special tokens included; some templates begin an answer there."""
    tools: tuple[Mapping[str, Any], ...]
    """As templates are shown them; without any, a call is text."""


@dataclass(frozen=True)
class AnswerSyntax:
    """The same for all sequences of a request."""

    calls: CallSyntax | None = None
    """`None`: nothing in it is a call."""
    has_text: bool = True
    """`False`: a grammar makes it calls alone, so that what is cut off of one is no text either."""
    names: frozenset[str] = frozenset()
    """Of the tools."""
    is_parallel: bool = True
    thinking: Thinking | None = None
    """`None`: nothing in it is reasoning."""
    response_template: ResponseTemplate | None = None
    """Says all of it, where it is there."""

    def is_read(self, special_token: str) -> bool:
        """Whether a special token says what the text around it is, so that it is read even where it is left out."""
        if self.response_template is not None:
            return True
        marks = set() if self.calls is None else set(self.calls.marks)
        if self.thinking is not None:
            marks |= {self.thinking.marks.opener, self.thinking.marks.closer}
        return special_token in marks
