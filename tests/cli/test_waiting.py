"""What is told to somebody who waits, and to whom nothing is told."""

import io

import pytest
from rich.console import Console

from hostler.cli.loading import progress_line
from hostler.cli.waiting import WaitLine
from hostler.client import LoadProgress


class TerminalFile(io.StringIO):
    def isatty(self) -> bool:
        return True


def told(term: str, *lines: str) -> str:
    file = TerminalFile()
    console = Console(file=file, width=20, force_terminal=True, _environ={"TERM": term})
    with WaitLine(console) as line:
        for text in lines:
            line.tell(text)
    return file.getvalue()


def test_a_line_takes_the_place_of_the_one_before_and_leaves_nothing() -> None:
    assert told("xterm", "loading 1%", "a line that is longer than the terminal") == (
        "\rloading 1%\x1b[K\ra line that is long\x1b[K\r\x1b[K"
    )


def test_a_terminal_that_cannot_replace_lines_is_told_each_stage_once() -> None:
    assert told("dumb", "t5: loading 1%", "t5: loading 2%", "t5: warming 3%") == "t5: loading 1%\nt5: warming 3%\n"


def test_a_file_is_told_nothing() -> None:
    file = io.StringIO()
    with WaitLine(Console(file=file)) as line:
        line.tell("loading 1%")
    assert file.getvalue() == ""


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (LoadProgress("waiting", "tiny waits for room"), "tiny waits for room"),
        (LoadProgress("queued", "behind 2 others"), "tiny: behind 2 others"),
        (LoadProgress("warming", "", percent=14, eta_s=9.4), "tiny: warming 14%, 9 s left"),
        (
            LoadProgress("downloading", "", done_bytes=2**20, total_bytes=2**21, percent=50, eta_s=3),
            "tiny: downloading 50%, 1 MiB of 2 MiB, 3 s left",
        ),
    ],
)
def test_progress_is_as_much_as_is_known(progress: LoadProgress, expected: str) -> None:
    assert progress_line("tiny", progress) == expected
