"""What somebody at a terminal sees while a model is waited for: one line that is replaced, and is gone at the end."""

from types import TracebackType
from typing import Self

from rich.cells import set_cell_size
from rich.console import Console

from hostler.cli.consoles import is_live


class WaitLine:
    """On stderr, so that the output is the answer alone. Where lines cannot be replaced, each stage is told once; where
    stderr is no terminal, nothing is told."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False, markup=False)
        self._is_live = is_live(self._console)
        self._is_shown = False
        self._told: str | None = None

    def tell(self, line: str) -> None:
        """Show it in place of the line before."""
        if self._is_live:
            # One column less: a terminal whose last one is filled may go on to the next line.
            text = set_cell_size(line, min(len(line), self._console.width - 1)) if line else ""
            self._write(f"\r{text}\x1b[K")
            self._is_shown = True
        elif self._console.file.isatty() and (stage := _without_numbers(line)) != self._told:
            self._told = stage
            self._write(f"{line}\n")

    def clear(self) -> None:
        """Leave the terminal as it was before."""
        if self._is_shown:
            self._write("\r\x1b[K")
            self._is_shown = False

    def _write(self, text: str) -> None:
        self._console.file.write(text)
        self._console.file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()


def _without_numbers(line: str) -> str:
    """What stays the same while something goes on."""
    return " ".join(word for word in line.split() if not any(map(str.isdigit, word)))
