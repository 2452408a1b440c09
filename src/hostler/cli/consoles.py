"""Where tables are printed."""

import shutil

from rich.console import Console, ConsoleDimensions

_WIDTH_OF_FILES = 200


class PlainConsole(Console):
    """Prints text as it is, and leaves it to the command what happens when nobody reads any more."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def plain_console() -> Console:
    """As wide as the terminal; wide enough for all where the output is none."""
    console = PlainConsole(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = _WIDTH_OF_FILES
    elif console.is_dumb_terminal:
        # rich takes such a one for 80 columns wide, unless it is told both.
        console.size = ConsoleDimensions(*shutil.get_terminal_size())
    return console


def is_live(console: Console) -> bool:
    """Whether what has been printed can be replaced: a terminal that can move its cursor."""
    return console.file.isatty() and not console.is_dumb_terminal
