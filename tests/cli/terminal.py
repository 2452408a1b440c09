"""A terminal of our own: runs a command as its user would, types, presses Ctrl-C, and knows what the screen shows."""

import codecs
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

TIMEOUT_S = 60.0
"""Far above what anything here takes; only what hangs comes to it."""

_AS_OWN_TERMINAL = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGINT, signal.SIG_DFL)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
"""Only a controlling terminal turns Ctrl-C into a signal, and what a shell runs behind its prompt ignores it."""
_CONTROL = re.compile(
    r"\x1b\[([?\d;]*)([A-Za-z])|\x1b[()][A-Z0-9]|\x1b[=>]|([\r\n\b])|([^\x00-\x1f\x7f]+)|[\x00-\x1f\x7f]"
)


class Screen:
    """What is to be seen after all that has been written. Lines that have scrolled away stay in it."""

    def __init__(self) -> None:
        self._lines: list[list[str]] = [[]]
        self._row = self._column = 0
        self._aside: tuple[list[list[str]], int, int] | None = None
        """The screen that a full-screen program has put aside."""

    @property
    def text(self) -> str:
        return "\n".join("".join(line).rstrip() for line in self._lines).strip("\n")

    def write(self, text: str) -> None:
        for found in _CONTROL.finditer(text):
            parameters, command, motion, printed = found.groups()
            if printed is not None:
                self._print(printed)
            elif motion is not None:
                self._move(motion)
            elif command is not None:
                self._obey(command, parameters)

    def _print(self, text: str) -> None:
        line = self._lines[self._row]
        line.extend(" " * (self._column - len(line)))
        line[self._column : self._column + len(text)] = text
        self._column += len(text)

    def _move(self, motion: str) -> None:
        if motion == "\r":
            self._column = 0
        elif motion == "\b":
            self._column = max(0, self._column - 1)
        else:
            self._go_to(self._row + 1)

    def _go_to(self, row: int) -> None:
        self._row = max(0, row)
        while len(self._lines) <= self._row:
            self._lines.append([])

    def _obey(self, command: str, parameters: str) -> None:
        number = int(parameters) if parameters.isdigit() else None
        match command, parameters:
            case "A", _:
                self._go_to(self._row - (number or 1))
            case "B", _:
                self._go_to(self._row + (number or 1))
            case "C", _:
                self._column += number or 1
            case "D", _:
                self._column = max(0, self._column - (number or 1))
            case "H", _:
                self._go_to(0)
                self._column = 0
            case "K", "2":
                self._lines[self._row] = []
            case "K", _:
                del self._lines[self._row][self._column :]
            case "J", _:
                del self._lines[self._row][self._column :]
                del self._lines[self._row + 1 :]
            case "h", "?1049":
                self._aside = self._lines, self._row, self._column
                self._lines, self._row, self._column = [[]], 0, 0
            case "l", "?1049" if self._aside is not None:
                self._lines, self._row, self._column = self._aside


class Terminal:
    """Context manager around one command; leaving it kills what is still there."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        columns: int = 80,
        rows: int = 40,
        term: str = "xterm-256color",
    ) -> None:
        self.raw = ""
        """All that was written, with what steers the terminal."""
        self._screen = Screen()
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        ours, theirs = os.openpty()
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        left_out = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "HOSTLER_API_KEY", "API_KEY", "HOSTLER_URL")
        inherited = {name: value for name, value in os.environ.items() if name not in left_out}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _AS_OWN_TERMINAL, *command],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**inherited, "TERM": term, "PYTHONUNBUFFERED": "1", **(environment or {})},
            start_new_session=True,
        )
        os.close(theirs)
        self._fd = ours

    @property
    def screen(self) -> str:
        return self._screen.text

    def wait_for(self, wanted: str | Callable[[str], bool]) -> str:
        """Read until the screen has the text, or is as wanted; returns the screen."""
        deadline = time.monotonic() + TIMEOUT_S
        while not (wanted in self.screen if isinstance(wanted, str) else wanted(self.screen)):
            assert self._read(deadline), f"{wanted!r} never came; the screen:\n{self.screen}"
        return self.screen

    def write(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def press_ctrl_c(self) -> None:
        self.write("\x03")

    def wait(self) -> int:
        """The exit status, once all output has been read."""
        deadline = time.monotonic() + TIMEOUT_S
        while self._read(deadline):
            pass
        return self._process.wait(TIMEOUT_S)

    def _read(self, deadline: float) -> bool:
        """Whether there may be more."""
        ready, _, _ = select.select([self._fd], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return False
        try:
            data = os.read(self._fd, 1 << 16)
        except OSError:  # how Linux says that nobody writes there any more
            return False
        text = self._decode(data)
        self.raw += text
        self._screen.write(text)
        return bool(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(TIMEOUT_S)
        os.close(self._fd)
