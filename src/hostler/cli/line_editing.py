"""Arrow keys, earlier lines and Tab where a conversation is typed, as far as Python has that on this system."""

import contextlib
import os
import select
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from hostler.errors import HostlerError

_MAX_LINES = 1000


def usual_history() -> Path:
    """The user's file of what was typed."""
    folder = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(folder).expanduser() / "hostler" / "chat_history"


@contextlib.contextmanager
def edited_lines(
    commands: Sequence[str], model_ids: Callable[[], Iterable[str]], history: Path | None
) -> Iterator[None]:
    """While entered, `input` is edited so, and Tab completes commands, and ids behind `/model`.

    `history`: read at first and written at the end, for its owner alone; `None`: nothing is kept.
    """
    try:
        import readline
    except ImportError:
        yield
        return
    completer = Completer(commands, model_ids)
    readline.set_completer(lambda _, number: completer.complete(readline.get_line_buffer(), number))
    readline.set_completer_delims("")
    # What Apple ships in its place is bound in another way.
    readline.parse_and_bind("bind ^I rl_complete" if "libedit" in (readline.__doc__ or "") else "tab: complete")
    readline.set_history_length(_MAX_LINES)
    if history is not None and history.exists():
        with contextlib.suppress(OSError):
            readline.read_history_file(history)
    try:
        yield
    finally:
        if history is not None:
            with contextlib.suppress(OSError):
                history.parent.mkdir(parents=True, exist_ok=True)
                os.close(os.open(history, os.O_CREAT | os.O_WRONLY, 0o600))
                readline.write_history_file(history)


def next_line(prompt: str) -> str:
    """What is typed next.

    Raises:
        EOFError: Ctrl-D, also where it was pressed before anything was asked for, as during an answer.
        KeyboardInterrupt: Ctrl-C.
    """
    if sys.stdin.isatty() and _ends_here(sys.stdin.fileno()):
        raise EOFError
    return input(prompt)


def _ends_here(terminal: int) -> bool:
    """Whether a Ctrl-D is the next that was typed; takes it then.

    readline makes the terminal give single keys, among which a Ctrl-D from before is none and would be lost.
    """
    try:
        import fcntl
        import termios
    except ImportError:
        return False
    if not select.select([terminal], [], [], 0)[0]:
        return False
    num_bytes = int.from_bytes(fcntl.ioctl(terminal, termios.FIONREAD, bytes(4)), sys.byteorder)
    # Ready, with nothing to read: the end. To read it where there is more would take a line from readline.
    return num_bytes == 0 and os.read(terminal, 1) == b""


class Completer:
    """Asks for the models once, when they are first needed."""

    def __init__(self, commands: Sequence[str], model_ids: Callable[[], Iterable[str]]) -> None:
        self._commands = commands
        self._model_ids = model_ids
        self._lines: list[str] | None = None

    def complete(self, typed: str, number: int) -> str | None:
        """The whole line that it may become; `None`: there are no more."""
        if typed.startswith("/model "):
            if self._lines is None:
                self._lines = self._model_lines()
            lines = self._lines
        else:
            lines = [f"{command} " for command in self._commands]
        fitting = [line for line in lines if line.startswith(typed)] if typed.startswith("/") else []
        return fitting[number] if number < len(fitting) else None

    def _model_lines(self) -> list[str]:
        try:
            return [f"/model {model_id}" for model_id in self._model_ids()]
        except (HostlerError, ConnectionError):
            return []
