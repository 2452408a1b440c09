"""One sequence on its way from tokens to what is told of it."""

from collections.abc import Callable, Sequence

from hostler.engine.text.answer_syntax import AnswerSyntax
from hostler.engine.text.call_parser import CallParser
from hostler.engine.text.detokenizer import IncrementalDetokenizer
from hostler.engine.text.parsed import AnswerParser, Parsed, PlainText
from hostler.engine.text.reasoning import ReasoningParser
from hostler.engine.text.response_template import ResponseTemplateParser
from hostler.engine.text.stop_strings import StopStrings
from hostler.types import FinishReason


def _no_mark(token_id: int) -> str | None:  # noqa: ARG001
    return None


class AnswerText:
    """Spells tokens, looks for stop strings, and tells text, reasoning and calls apart."""

    def __init__(
        self,
        detokenizer: IncrementalDetokenizer,
        stop_strings: StopStrings,
        parser: AnswerParser | None = None,
        mark_of: Callable[[int], str | None] = _no_mark,
    ) -> None:
        """`mark_of`: what the parser is to read of a token that is no text; `None`: it is text, or is left out."""
        self._detokenizer = detokenizer
        self._stop_strings = stop_strings
        self._parser = PlainText() if parser is None else parser
        self._mark_of = mark_of

    @property
    def stop(self) -> str | None:
        """The stop string that has ended it."""
        return self._stop_strings.matched

    def add(self, token_ids: Sequence[int], reason: FinishReason | None) -> tuple[Parsed, FinishReason | None]:
        """What new tokens tell, and why the sequence ends with them, if it does: for `reason`, or for what they say."""
        piece = "".join(map(self._spell, token_ids))
        if reason is not None:
            piece += self._detokenizer.flush()
        text, is_stopped = self._stop_strings.add(piece)
        if is_stopped:
            reason = FinishReason.STOP
        elif reason is not None:
            text += self._stop_strings.flush()
        told = self._parser.add(text)
        if self._parser.is_over:
            return told, FinishReason.STOP
        return (told if reason is None else told.and_then(self._parser.flush())), reason

    def _spell(self, token_id: int) -> str:
        mark = self._mark_of(token_id)
        return self._detokenizer.add(token_id) if mark is None else self._detokenizer.flush() + mark


def new_parser(syntax: AnswerSyntax) -> AnswerParser:
    """For one sequence."""
    if (own := syntax.response_template) is not None:
        return ResponseTemplateParser(own.template, own.prompt_text, own.tools, is_parallel=syntax.is_parallel)
    parser: AnswerParser = PlainText()
    if syntax.calls is not None:
        parser = CallParser(syntax.calls, syntax.names, is_parallel=syntax.is_parallel, has_text=syntax.has_text)
    if (thinking := syntax.thinking) is not None:
        parser = ReasoningParser(thinking.marks, parser, has_begun=thinking.has_begun)
    return parser
