"""What may be written of a thought and of what follows it, token by token."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from hostler.engine.constraints.compiler import ConstraintCompiler
from hostler.engine.text.reasoning import KNOWN, ReasoningMarks, Thinking
from hostler.errors import InvalidRequestError
from hostler.types import Constraint, ConstraintKind
from tests.tiny_models import build_tiny_model

ANSWER = Constraint(kind=ConstraintKind.CHOICE, text='["yes", "no"]', param="choice")
TEXT, SPECIAL = KNOWN[0], KNOWN[1]
OWN_TOKENS = ReasoningMarks("<seed:think>", "</seed:think>")
"""Tokens of their own, and text all the same, as Qwen's marks are."""


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    tokenizer = AutoTokenizer.from_pretrained(build_tiny_model("gpt2", tmp_path_factory.mktemp("thought") / "tiny"))
    tokenizer.add_special_tokens({"additional_special_tokens": [SPECIAL.opener, SPECIAL.closer]})
    tokenizer.add_tokens([OWN_TOKENS.opener, OWN_TOKENS.closer])
    return tokenizer


@pytest.fixture(scope="module")
def compiler(tokenizer: PreTrainedTokenizerBase) -> ConstraintCompiler:
    return ConstraintCompiler(tokenizer, len(tokenizer), [tokenizer.eos_token_id])


class Writer:
    def __init__(self, compiler: ConstraintCompiler, tokenizer: PreTrainedTokenizerBase) -> None:
        self._compiler = compiler
        self._tokenizer = tokenizer

    def takes(self, thinking: Thinking, *pieces: str) -> bool:
        """Whether these may be written to their end, tokenised one by one."""
        token_ids = [i for piece in pieces for i in self._tokenizer(piece, add_special_tokens=False).input_ids]
        return self.takes_tokens(thinking, [*token_ids, self._tokenizer.eos_token_id])

    def takes_tokens(self, thinking: Thinking, token_ids: Iterable[int]) -> bool:
        matcher = self._compiler.compile(ANSWER, thinking).fork()
        for token_id in token_ids:
            may_come = bool(matcher.allowed()[token_id])
            assert may_come or not matcher.allows(token_id)
            if not may_come:
                return False
            assert matcher.accept(token_id) is None
        return True


@pytest.fixture
def writer(compiler: ConstraintCompiler, tokenizer: PreTrainedTokenizerBase) -> Writer:
    return Writer(compiler, tokenizer)


@pytest.mark.parametrize("has_begun", [True, False])
@pytest.mark.parametrize("marks", [TEXT, SPECIAL, OWN_TOKENS], ids=lambda marks: marks.opener)
class TestMarks:
    def test_anything_may_be_thought_before_the_answer(
        self, marks: ReasoningMarks, has_begun: bool, writer: Writer
    ) -> None:
        thinking = Thinking(marks, has_begun)
        opener = "" if has_begun else marks.opener
        for thought in ("", "\n", '\nÄ 🐎 "said" {no}: 3 < 4 </ yes\n', marks.closer[:-1] + " "):
            for space in ("", "\n\n"):
                assert writer.takes(thinking, opener + thought + marks.closer + space + "yes"), (thought, space)

    def test_what_follows_it_keeps_to_the_grammar(self, marks: ReasoningMarks, has_begun: bool, writer: Writer) -> None:
        thinking = Thinking(marks, has_begun)
        opener = "" if has_begun else marks.opener
        for answer in ("maybe", "yesyes", "", f"{marks.opener}{marks.closer}yes", "\n" * 9 + "yes"):
            assert not writer.takes(thinking, f"{opener}Hm.{marks.closer}{answer}"), answer

    def test_no_thought_ends_the_answer(self, marks: ReasoningMarks, has_begun: bool, writer: Writer) -> None:
        assert not writer.takes(Thinking(marks, has_begun), ("" if has_begun else marks.opener) + "Hm. yes")

    def test_only_a_prompt_that_begins_it_makes_it_needed(
        self, marks: ReasoningMarks, has_begun: bool, writer: Writer
    ) -> None:
        assert writer.takes(Thinking(marks, has_begun), "yes") != has_begun

    def test_a_mark_that_is_written_as_text_ends_no_thought_in_secret(
        self, marks: ReasoningMarks, has_begun: bool, writer: Writer, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        """Whoever reads the text would take it for the end, and what follows for the answer."""
        spelled = [marks.closer[:3], marks.closer[3:]]
        opener = [] if has_begun else [marks.opener]
        assert not writer.takes(Thinking(marks, has_begun), *opener, "Hm.", *spelled, "Hm.", marks.closer, "yes")
        assert writer.takes(Thinking(marks, has_begun), *opener, "Hm.", *spelled, "yes") == (marks is not SPECIAL)


def test_a_grammar_that_cannot_be_written_is_refused_though_a_thought_can(tmp_path: Path) -> None:
    t5 = AutoTokenizer.from_pretrained(build_tiny_model("t5", tmp_path / "tiny"))
    braces = Constraint(kind=ConstraintKind.CHOICE, text='["{"]', param="choice")
    compiler = ConstraintCompiler(t5, len(t5), [t5.eos_token_id])
    with pytest.raises(InvalidRequestError, match="choice cannot be followed"):
        compiler.compile(braces, Thinking(SPECIAL, has_begun=True))


def test_what_is_kept_is_kept_apart(compiler: ConstraintCompiler) -> None:
    thinking = Thinking(TEXT, has_begun=False)
    assert compiler.compile(ANSWER, thinking) is compiler.compile(ANSWER, thinking)
    assert compiler.compile(ANSWER, thinking) is not compiler.compile(ANSWER)
    assert compiler.compile(ANSWER, thinking) is not compiler.compile(ANSWER, Thinking(TEXT, has_begun=True))
