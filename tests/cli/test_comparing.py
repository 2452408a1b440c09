"""How several answers are laid out."""

from typing import Any, cast

from rich.console import Console

from hostler.cli import comparing
from hostler.protocol.model_answers import ComparedAnswer, ComparedText
from tests.cli.test_asking import ANSWERED, FAILED


def answer(**changes: Any) -> ComparedAnswer:
    return cast(ComparedAnswer, {**ANSWERED, **changes})


def test_columns_stand_side_by_side_with_the_times_of_each() -> None:
    console = Console(width=100, color_system=None)
    other = answer(model_id="b", answer="elsewhere")
    headings = {one["model_id"]: (comparing.heading_of(one), comparing.text_of(one)) for one in (answer(), other)}
    with console.capture() as captured:
        console.print(comparing.columns(headings))
    lines = captured.get().splitlines()
    assert lines[0].split() == ["a", "b"]
    assert lines[3].split("   ")[0].strip() == "first token after 0.25 s"
    assert lines[-2].split() == ["there", "elsewhere"]


def words(unfinished: comparing.Unfinished) -> list[str]:
    console = Console(width=100, color_system=None)
    with console.capture() as captured:
        console.print(unfinished)
    return captured.get().split()


def test_what_is_waited_for_stands_where_the_answer_will() -> None:
    unfinished = comparing.Unfinished(["a", "b"])
    piece: ComparedText = {"model_id": "a", "text": "there", "finish_reason": None}
    shown = [words(unfinished)]
    for wait in ("a: loading 43% eta=6s", "b: waiting for room"):
        unfinished.wait(wait)
        shown.append(words(unfinished))
    unfinished.add(piece)
    shown.append(words(unfinished))
    unfinished.wait("b: loading 7%")
    shown.append(words(unfinished))
    assert shown == [
        ["a,", "b:", "no", "answer", "yet"],
        ["a", "loading", "43%", "eta=6s"],
        ["a", "b", "loading", "43%", "eta=6s", "waiting", "for", "room"],
        ["a", "b", "there", "waiting", "for", "room"],
        ["a", "b", "there", "loading", "7%"],
    ]


def test_answers_are_in_the_order_of_the_question_by_id_or_name() -> None:
    ended = [answer(model_id="c", model_name="org/c"), cast(ComparedAnswer, FAILED), answer()]
    assert [one["model_id"] for one in comparing.in_order(ended, ["ORG/A", "b", "c"])] == ["a", "b", "c"]
