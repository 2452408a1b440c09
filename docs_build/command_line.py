"""The page of the command line: every command and option."""

import re
from collections.abc import Iterator
from typing import Any

import typer

from docs_build.markdown import code, document, table
from hostler.cli.commands import app

_LEAD = """
What one uses them for is told in [the tutorial](../tutorial.md) and the how-to guides. `hostler COMMAND --help` shows
the same as this page.
"""
_NAME = "hostler"


def page() -> str:
    return document(
        "The command line", _LEAD, *(part for path, command in commands() for part in _section(path, command))
    )


def commands() -> Iterator[tuple[str, Any]]:
    """Each with the words that call it; groups of commands are told by their commands."""
    return _leaves(_NAME, typer.main.get_command(app))


def _leaves(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, child in command.commands.items():
        if not child.hidden:
            yield from _leaves(f"{path} {name}", child)


def _section(path: str, command: Any) -> Iterator[str]:
    context = typer.Context(command, info_name=path)
    yield f"## {path}"
    yield (command.help or "").strip()
    yield f"```text\n{' '.join([path, *command.collect_usage_pieces(context)])}\n```"
    for kind in ("argument", "option"):
        records = [each.get_help_record(context) for each in command.params if each.param_type_name == kind]
        rows = [[_spelling(record[0]), _meaning(record[1])] for record in records if record is not None]
        if rows:
            yield table([kind, "meaning"], rows)


def _spelling(record: str) -> str:
    """Each of the names, the last one with what it takes."""
    return ", ".join(map(code, record.split(", ")))


def _meaning(record: str) -> str:
    """What the help has in brackets at the end, such as the default and the variable, would be a link in Markdown."""
    return re.sub(r"\[([^\]]*)\]", lambda found: f"({found[1].replace('env var', 'variable')})", record)
