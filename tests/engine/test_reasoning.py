import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostler.engine.text.call_parser import CallParser
from hostler.engine.text.call_syntax import HERMES
from hostler.engine.text.parsed import PlainText
from hostler.engine.text.reasoning import KNOWN, ReasoningMarks, ReasoningParser, marks_of
from tests.engine.answers import Read, cut, read

THINK = ReasoningMarks("<think>", "</think>")
CALL = '<tool_call>{"name": "clock", "arguments": {}}</tool_call>'

FROM_THE_START = [
    ("<think>\nHm. So\n it is.\n</think>\n\nYes. \n", Read("Yes. \n", "Hm. So\n it is.")),
    ("\n<think>Hm.</think>Yes.", Read("Yes.", "Hm.")),
    ("<think></think>\n\nYes.", Read("Yes.")),
    ("<think>\nHm. So", Read("", "Hm. So")),
    ("<think>Hm </thi", Read("", "Hm </thi")),
    ("  Yes <think>no</think>", Read("  Yes <think>no</think>")),
    ("<thin", Read("<thin")),
    ("", Read()),
    (f"<think>I call {CALL}.</think>\n{CALL}", Read("", f"I call {CALL}.", [("clock", "{}")])),
]
GOES_ON = [
    ("Hm.\n</think>\n\nYes.", Read("Yes.", "Hm.")),
    ("\n</think>Yes.", Read("Yes.")),
    ("Hm. ", Read("", "Hm.")),
]


def parser(*, has_begun: bool = False) -> ReasoningParser:
    return ReasoningParser(THINK, CallParser(HERMES, frozenset({"clock"})), has_begun=has_begun)


@pytest.mark.parametrize(("answer", "expected"), FROM_THE_START)
def test_what_is_thought_is_no_text(answer: str, expected: Read) -> None:
    assert read(parser(), [answer]) == read(parser(), answer) == expected


@pytest.mark.parametrize(("answer", "expected"), GOES_ON)
def test_reasoning_may_have_begun_in_the_prompt(answer: str, expected: Read) -> None:
    assert read(parser(has_begun=True), [answer]) == read(parser(has_begun=True), answer) == expected


@given(st.data(), st.booleans())
def test_however_an_answer_is_cut_it_is_the_same(data: st.DataObject, has_begun: bool) -> None:
    pieces = ["<think>", "</think>", "<tool_call>", CALL, "Hm", " ", "\n", "</", "<", ">"]
    answer = data.draw(st.lists(st.sampled_from(pieces), max_size=12).map("".join))
    whole = read(parser(has_begun=has_begun), [answer])

    assert read(parser(has_begun=has_begun), data.draw(cut(answer))) == whole


def test_reasoning_is_told_while_it_is_written() -> None:
    reasoning = ReasoningParser(THINK, PlainText(), has_begun=False)

    assert [reasoning.add(piece).reasoning for piece in ("<think>\n", "Hm", ", so", " </", "b> ")] == (
        ["", "Hm", ", so", "", " </b>"]
    )


def test_the_marks_are_those_of_the_template_or_of_the_tokenizer() -> None:
    assert marks_of("{{ x }}{% if thinks %}<think>\n\n</think>{% endif %}", []) == THINK
    assert marks_of("{{ x }}<assistant><think>\n", []) == THINK
    assert marks_of("{{ x }}", ["<s>", "[THINK]", "[/THINK]"]) == ReasoningMarks("[THINK]", "[/THINK]")
    assert marks_of("{{ x }}", ["<think>"]) is None
    assert all(marks_of(marks.opener + marks.closer, []) == marks for marks in KNOWN)
