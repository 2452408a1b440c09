"""From what a request asks of its text to a matcher for the model's tokenizer."""

import json
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable
from typing import TYPE_CHECKING, Any

import msgspec
from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from llguidance.gbnf_to_lark import GbnfToLarkError, any_to_lark
from transformers import PreTrainedTokenizerBase

from hostler.engine.constraints.closing import closed
from hostler.engine.constraints.endless import check_ends
from hostler.engine.constraints.matcher import GrammarMatcher
from hostler.engine.constraints.reasons import in_our_words
from hostler.engine.constraints.thought import after_thought
from hostler.engine.constraints.tool_calls import Grammar, calls_grammars, either
from hostler.engine.constraints.vocabulary import Vocabulary
from hostler.engine.text.call_syntax import CallSyntax
from hostler.engine.text.reasoning import Thinking
from hostler.errors import InvalidRequestError
from hostler.tools import ToolUse
from hostler.types import Constraint, ConstraintKind

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions  # in its stub alone

MAX_KEPT = 128
"""Compiled grammars; the least recently used goes first."""
MAX_REASON_CHARS = 400
LIMITS = LLParserLimits(
    initial_lexer_fuel=2_000_000,
    max_grammar_size=100_000,
    max_lexer_states=50_000,
    verbose_errors=False,
)
"""What one grammar may take: tens of milliseconds to compile, tens of megabytes."""
_JSON: "JsonCompileOptions" = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""One way to write each value: a small model left to choose its white space may write nothing else until its end."""


class ConstraintCompiler:
    """Compiles grammars and keeps them. Used by one thread at a time."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        vocab_size: int,
        eos_token_ids: Collection[int],
        *,
        begins_text: bool = False,
    ) -> None:
        """`vocab_size`: of the model's embeddings. `eos_token_ids`: with which an answer may end once it is whole.
        `begins_text`: no text precedes an answer, so that its first space may not be written."""
        self._tokenizer = tokenizer
        self._vocab_size = vocab_size
        self._eos_token_ids = eos_token_ids
        self._begins_text = begins_text
        self._for_grammars: LLTokenizer | None = None
        """Made when it is first needed, as are the next ones."""
        self._tokens: list[bytes] = []
        """What each token spells."""
        self._may_begin_with_space = False
        self._compiled: OrderedDict[Hashable, GrammarMatcher] = OrderedDict()

    def compile(self, constraint: Constraint, thinking: Thinking | None = None) -> GrammarMatcher:
        """At the beginning of the text; to be forked for each sequence. `thinking`: what may stand before it.

        Raises:
            InvalidRequestError: the grammar is wrong, too large, or asks for what is not supported; names the field.
        """
        return self._kept(constraint, constraint.param, lambda: [_grammar_of(constraint)], thinking)

    def compile_calls(
        self,
        tool_use: ToolUse,
        syntax: CallSyntax,
        instead: Constraint | None = None,
        thinking: Thinking | None = None,
    ) -> GrammarMatcher:
        """The same of an answer that is calls of tools, or else what `instead` says.

        Raises:
            InvalidRequestError: as above; names the field of the tools, whose schemas may be at fault.
        """

        def grammars() -> list[Grammar]:
            calls = calls_grammars(tool_use, syntax, self._special_token_id, _grammar_of_schema)
            return calls if instead is None else either([_grammar_of(instead)], calls)

        return self._kept((msgspec.json.encode(tool_use), syntax, instead), tool_use.param, grammars, thinking)

    def _kept(
        self, asked: Hashable, param: str, grammars: Callable[[], list[Grammar]], thinking: Thinking | None
    ) -> GrammarMatcher:
        key = (asked, thinking)
        if key in self._compiled:
            self._compiled.move_to_end(key)
        else:
            self._compiled[key] = self._compile(param, grammars, thinking)
            if len(self._compiled) > MAX_KEPT:
                self._compiled.popitem(last=False)
        return self._compiled[key]

    def _compile(
        self, param: str, grammars_of: Callable[[], list[Grammar]], thinking: Thinking | None
    ) -> GrammarMatcher:
        """`grammars_of`: the first is that of the text; raises ValueError."""
        tokenizer = self._tokenizer_for_grammars(param)
        try:
            grammars = grammars_of()
        except ValueError as exc:
            raise _refusal(param, str(exc)) from exc
        if self._may_begin_with_space:
            text, *others = grammars
            grammars = [{"lark_grammar": 'start: " "? @text'}, {**text, "name": "text"}, *others]
        compiled = self._checked(param, tokenizer, grammars)
        if thinking is None:
            return compiled
        # Checked by itself first: a thought can always be written, whatever is to come after it.
        return self._checked(param, tokenizer, after_thought(grammars, thinking, self._special_token_id))

    def _checked(self, param: str, tokenizer: LLTokenizer, grammars: list[Grammar]) -> GrammarMatcher:
        matcher = LLMatcher(tokenizer, json.dumps({"grammars": grammars}), log_level=0, limits=LIMITS)
        compiled = GrammarMatcher(matcher, param)
        # Some grammars show what is wrong with them only now; and what is computed here, no step of others waits for.
        tokens = zip(compiled.allowed(), self._tokens, strict=True)
        is_possible = any(may_come and spelled != b" " for may_come, spelled in tokens)
        if compiled.error or not is_possible:
            raise _refusal(param, compiled.error or "no text that it allows can be written in the model's tokens")
        return compiled

    def _special_token_id(self, text: str) -> int | None:
        """The id of a token that is no text; `None`: there is none, so that it is written as text."""
        tokens: dict[int, Any] = self._tokenizer.added_tokens_decoder
        return next((i for i, token in tokens.items() if token.special and token.content == text), None)

    def _tokenizer_for_grammars(self, param: str) -> LLTokenizer:
        if self._for_grammars is None:
            if not self._eos_token_ids:
                raise InvalidRequestError(
                    f"{param} is not available with this model, which has no token to end a text with", param=param
                )
            vocabulary = Vocabulary(self._tokenizer, self._vocab_size, self._eos_token_ids)
            self._tokens = vocabulary.tokens
            self._may_begin_with_space = self._begins_text and vocabulary.drops_first_space
            self._for_grammars = vocabulary.for_grammars(self._eos_token_ids)
        return self._for_grammars


def _grammar_of(constraint: Constraint) -> Grammar:
    """One of the `grammars` that llguidance reads.

    Raises:
        ValueError: it is not even well formed.
    """
    match constraint.kind:
        case ConstraintKind.JSON_SCHEMA:
            return _grammar_of_schema(json.loads(constraint.text))
        case ConstraintKind.REGEX:
            return dict(json.loads(LLMatcher.grammar_from_regex(constraint.text))["grammars"][0])
        case ConstraintKind.CHOICE:
            return {"lark_grammar": "start: " + " | ".join(map(json.dumps, json.loads(constraint.text)))}
        case ConstraintKind.GRAMMAR:
            try:
                return {"lark_grammar": any_to_lark(constraint.text)}
            except GbnfToLarkError as exc:
                raise ValueError(str(exc)) from exc


def _grammar_of_schema(schema: Any) -> Grammar:
    check_ends(schema)
    text = json.dumps(closed(schema))
    return dict(json.loads(LLMatcher.grammar_from_json_schema(text, overrides=_JSON))["grammars"][0])


def _refusal(param: str, reason: str) -> InvalidRequestError:
    told = " ".join(in_our_words(reason).split())
    return InvalidRequestError(f"{param} cannot be followed: {told[:MAX_REASON_CHARS]}", param=param)
