"""Parts what a model thinks from what it answers, by the marks that its chat template knows."""

from collections.abc import Collection
from dataclasses import dataclass

from hostler.engine.text.parsed import AnswerParser, Parsed


@dataclass(frozen=True)
class ReasoningMarks:
    """Texts or special tokens around what is thought."""

    opener: str
    closer: str


@dataclass(frozen=True)
class Thinking:
    """Reasoning that an answer may begin with."""

    marks: ReasoningMarks
    has_begun: bool
    """The prompt ends with the opener, so that it does begin with it."""


KNOWN = (
    ReasoningMarks("<think>", "</think>"),
    ReasoningMarks("[THINK]", "[/THINK]"),
    ReasoningMarks("<seed:think>", "</seed:think>"),
    ReasoningMarks("<|START_THINKING|>", "<|END_THINKING|>"),
    ReasoningMarks("<|inner_prefix|>", "<|inner_suffix|>"),
    ReasoningMarks("<thought>", "</thought>"),
)


def marks_of(template: str, added_tokens: Collection[str]) -> ReasoningMarks | None:
    """Those that a template writes, or that its tokenizer was given; `None`: the model is not known to think."""
    for marks in KNOWN:
        is_written = marks.opener in template or marks.closer in template
        if is_written or {marks.opener, marks.closer} <= set(added_tokens):
            return marks
    return None


class ReasoningParser:
    """An `AnswerParser` that leaves what follows the reasoning to another one.

    What is thought comes first. White space around it belongs to nothing.
    """

    def __init__(self, marks: ReasoningMarks, answer: AnswerParser, *, has_begun: bool) -> None:
        """`has_begun`: the prompt ends with the opener."""
        self._marks = marks
        self._answer = answer
        self._held = ""
        self._is_begun = has_begun
        self._is_thinking = has_begun
        """As far as can be told."""
        self._has_thought = False
        """There is reasoning that was told."""
        self._is_answering = False
        """What comes goes on to the other parser."""

    @property
    def is_over(self) -> bool:
        return self._answer.is_over

    def add(self, piece: str) -> Parsed:
        if self._is_answering:
            return self._answer.add(piece)
        self._held += piece
        if not self._is_begun and not self._begin():
            return Parsed()
        if not self._is_thinking:
            return self._go_on()
        reasoning, closer, rest = self._held.partition(self._marks.closer)
        if not closer:
            return self._think(self._certain())
        new = self._think(reasoning.rstrip())
        self._held = rest
        self._is_thinking = False
        return new.and_then(self._go_on())

    def flush(self) -> Parsed:
        if self._is_answering:
            return self._answer.flush()
        if self._is_thinking:
            return self._think(self._held.rstrip())
        text = "" if self._is_begun else self._held
        return self._answer.add(text).and_then(self._answer.flush())

    def _begin(self) -> bool:
        """Whether it is known by now if the answer begins with reasoning."""
        text = self._held.lstrip()
        if self._marks.opener.startswith(text) and text != self._marks.opener:
            return False
        self._is_begun = True
        self._is_thinking = text.startswith(self._marks.opener)
        if self._is_thinking:
            self._held = text.removeprefix(self._marks.opener)
        else:
            self._is_answering = True
        return True

    def _go_on(self) -> Parsed:
        """With the answer, once there is anything of it."""
        if not self._is_answering:
            self._held = self._held.lstrip()
            self._is_answering = bool(self._held)
        held, self._held = self._held, ""
        return self._answer.add(held)

    def _certain(self) -> str:
        """What is reasoning, whatever is to come."""
        closer = self._marks.closer
        begun = next((n for n in range(len(closer) - 1, 0, -1) if self._held.endswith(closer[:n])), 0)
        return self._held[: len(self._held) - begun].rstrip()

    def _think(self, reasoning: str) -> Parsed:
        self._held = self._held[len(reasoning) :]
        if not self._has_thought:
            reasoning = reasoning.lstrip()
        self._has_thought = self._has_thought or bool(reasoning)
        return Parsed(reasoning=reasoning)
