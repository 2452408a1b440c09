"""Where tables are printed."""

from rich.console import Console

_WIDTH_OF_FILES = 200


def plain_console() -> Console:
    """As wide as the terminal; wide enough for all where the output is none. Text is printed as it is."""
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = _WIDTH_OF_FILES
    return console
