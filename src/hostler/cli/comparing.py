"""Several answers to one prompt: side by side where the terminal is wide enough, else one after the other."""

from collections import deque
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hostler.cli.consoles import is_live
from hostler.cli.waiting import WaitLine
from hostler.client import ComparisonStream
from hostler.protocol.model_answers import ComparedAnswer, ComparedText

MIN_COLUMN_WIDTH = 36
"""Narrower, prose is harder to read than one answer after the other."""


def show(stream: ComparisonStream, models: Sequence[str], console: Console, line: WaitLine) -> None:
    """Print the answers as they come where they can stand side by side, else each when all are there.

    What a model is waited for stands in its answer's place until that begins, or in `line`.
    """
    if not (is_live(console) and console.width // len(models) >= MIN_COLUMN_WIDTH):
        answers = read_all(stream, models, line)
        console.print("\n\n".join(map(lines, answers)), soft_wrap=not is_live(console))
        return
    unfinished = Unfinished(models)
    stream.on_wait = unfinished.wait
    with Live(unfinished, console=console, transient=True):
        for piece in stream:
            unfinished.add(piece)
    answers = in_order(stream.answers, models)
    console.print(columns({answer["model_id"]: (heading_of(answer), text_of(answer)) for answer in answers}))


class Unfinished:
    """What has come of each answer so far, and what those wait for that have not begun."""

    def __init__(self, models: Sequence[str]) -> None:
        self._nothing = f"{', '.join(models)}: no answer yet"
        self._waits: dict[str, str] = {}
        self._texts: dict[str, str] = {}

    def wait(self, told: str) -> None:
        """As the server says it: the model's id before its wait."""
        model_id, _, self._waits[model_id] = told.partition(": ")

    def add(self, piece: ComparedText) -> None:
        self._texts[piece["model_id"]] = self._texts.get(piece["model_id"], "") + piece["text"]

    def __rich__(self) -> Table | Text:
        shown = self._waits | self._texts
        if not shown:
            return Text(self._nothing, "dim")
        return columns({model_id: (model_id, text) for model_id, text in shown.items()})


def read_all(stream: ComparisonStream, models: Sequence[str], line: WaitLine) -> list[ComparedAnswer]:
    """The answers, as the models were named. Meanwhile `line` tells what they wait for."""
    stream.on_wait = line.tell
    deque(stream, maxlen=0)
    line.clear()
    return in_order(stream.answers, models)


def columns(answers: Mapping[str, tuple[str, str]]) -> Table:
    """Heading and text of each, beside each other."""
    table = Table(box=None, expand=True, padding=(0, 2, 0, 0), pad_edge=False)
    for heading, _ in answers.values():
        table.add_column(Text(heading, "bold"), ratio=1, overflow="fold")
    table.add_row(*(Text(text) for _, text in answers.values()))
    return table


def lines(answer: ComparedAnswer) -> str:
    """A heading with the timings, then the answer as it is; or why there is none."""
    if answer["error"] is not None:
        return f"=== {answer['model_id']}: {answer['error']['detail']}"
    return f"=== {answer['model_id']}: {', '.join(timings(answer))}\n{answer['answer']}"


def timings(answer: ComparedAnswer) -> list[str]:
    """None where it failed."""
    if answer["completion_tokens"] is None:
        return []
    facts = [f"{answer['completion_tokens']} tokens in {answer['total_s']:.2f} s", f"wait {answer['load_s']:.2f} s"]
    if answer["ttft_s"] is not None:
        facts.append(f"first token after {answer['ttft_s']:.2f} s")
    if answer["tokens_per_second"] is not None:
        facts.append(f"{answer['tokens_per_second']:.1f} tokens/s")
    return facts


def heading_of(answer: ComparedAnswer) -> str:
    return "\n".join((answer["model_id"], *timings(answer)))


def text_of(answer: ComparedAnswer) -> str:
    return answer["error"]["detail"] if answer["error"] is not None else answer["answer"] or ""


def in_order(answers: Sequence[ComparedAnswer], models: Sequence[str]) -> list[ComparedAnswer]:
    """As the models were named: they end in another order."""
    places = {name.casefold(): place for place, name in enumerate(models)}
    return sorted(
        answers,
        key=lambda answer: min(
            places.get(answer["model_id"].casefold(), len(models)),
            places.get(answer["model_name"].casefold(), len(models)),
        ),
    )
