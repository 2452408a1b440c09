"""The terminal around a `ChatSession`."""

import sys
from collections.abc import Iterator

import typer

from hostler.cli.chat_session import ChatSession
from hostler.errors import HostlerError

PROMPT = ">>> "


def talk(session: ChatSession) -> None:
    """Until the user leaves. An error or Ctrl-C ends an answer, not the conversation."""
    _edit_lines()
    typer.echo("Type a message, or /help.", err=True)
    while not session.is_over:
        try:
            line = input(PROMPT)
        except EOFError:
            typer.echo()
            return
        except KeyboardInterrupt:
            typer.echo("\nCtrl-D or /quit leaves", err=True)
            continue
        if not line.strip():
            continue
        try:
            _print(session.enter(line.strip()))
        except KeyboardInterrupt:
            typer.echo("\nstopped", err=True)
        except (HostlerError, ConnectionError) as exc:
            typer.echo(f"hostler: {exc}", err=True)


def answer_once(session: ChatSession) -> None:
    """Answer what is piped in, as one message."""
    _print(session.enter(sys.stdin.read().strip()))


def tell_wait(line: str) -> None:
    """For the one who waits, not for what reads the output."""
    if sys.stderr.isatty():
        typer.echo(line, err=True)


def _print(pieces: Iterator[str]) -> None:
    is_empty = True
    for piece in pieces:
        typer.echo(piece, nl=False)
        is_empty = False
    if not is_empty:
        typer.echo()


def _edit_lines() -> None:
    """Arrow keys and earlier lines, where Python has that."""
    try:
        import readline  # noqa: F401
    except ImportError:
        return
