"""The terminal around a `ChatSession`."""

import sys
from collections.abc import Iterator
from pathlib import Path

import typer

from hostler.cli import line_editing
from hostler.cli.chat_session import ChatSession
from hostler.cli.failures import sentence
from hostler.cli.waiting import WaitLine
from hostler.errors import HostlerError

PROMPT = ">>> "


def talk(session: ChatSession, line: WaitLine, history: Path | None) -> None:
    """Until the user leaves. An error or Ctrl-C ends an answer, not the conversation.

    `history`: the file that keeps what was typed; `None`: nothing is kept.
    """
    with line_editing.edited_lines(session.commands, lambda: session.server.models(), history):
        typer.echo(f"{session.conversation.model or 'The usual model'} listens. Type a message, or /help.", err=True)
        while not session.is_over:
            try:
                typed = line_editing.next_line(PROMPT).strip()
            except EOFError:
                typer.echo()
                return
            except KeyboardInterrupt:
                typer.echo("\nCtrl-D or /quit leaves", err=True)
                continue
            if typed:
                _answer(session, typed, line)


def answer_once(session: ChatSession, line: WaitLine) -> None:
    """Answer what is piped in, as one message."""
    print_pieces(session.say(sys.stdin.read().strip()), line)


def _answer(session: ChatSession, typed: str, line: WaitLine) -> None:
    try:
        print_pieces(session.enter(typed), line)
    except KeyboardInterrupt:
        line.clear()
        typer.echo("\nstopped", err=True)
    except BrokenPipeError:
        raise
    except (HostlerError, ConnectionError) as exc:
        line.clear()
        typer.echo(f"hostler: {sentence(exc)}", err=True)


def print_pieces(pieces: Iterator[str], line: WaitLine) -> None:
    """As they come, in place of what was waited for."""
    is_empty = True
    for piece in pieces:
        if is_empty:
            line.clear()
        typer.echo(piece, nl=False)
        is_empty = False
    if not is_empty:
        typer.echo()
