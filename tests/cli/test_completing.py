"""Ids that the shell completes: from a server, else from the file, else none; and what Tab does in a conversation."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from hostler.cli.commands import app
from hostler.cli.completing import complete_model
from hostler.cli.line_editing import Completer
from hostler.client import ServerConnectionError
from tests.cli.conftest import ROW
from tests.cli.stub_server import StubServer


@pytest.fixture
def server() -> Iterator[StubServer]:
    with StubServer({"tiny": ROW, "tiny-2": ROW, "other": ROW}) as server:
        yield server


def completed(command: str, incomplete: str, **given: object) -> list[str]:
    group = typer.main.get_command(app)
    found = group.commands[command]  # type: ignore[attr-defined]
    context = found.make_context(command, [], resilient_parsing=True)
    context.params |= given
    return complete_model(context, incomplete)


def leaves(command: Any, *names: str) -> Iterator[tuple[str, Any]]:
    for name, below in getattr(command, "commands", {}).items():
        yield from leaves(below, *names, name)
    if not hasattr(command, "commands"):
        yield " ".join(names), command


def test_every_command_that_takes_a_model_completes_its_id_and_all_but_serve_print_json() -> None:
    commands = dict(leaves(typer.main.get_command(app)))
    named = {
        name: [one for one in command.params if one.name in ("model", "models")] for name, command in commands.items()
    }
    assert [name for name, found in named.items() for one in found if one._custom_shell_complete is None] == []
    assert sum(map(len, named.values())) >= 13
    assert [name for name, command in commands.items() if not any("--json" in one.opts for one in command.params)] == [
        "serve"
    ]


def test_the_ids_of_a_running_server_are_completed(server: StubServer) -> None:
    assert completed("load", "ti", url=server.url) == ["tiny", "tiny-2"]


def test_without_a_server_those_of_the_file_are(closed_url: str, tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text("models:\n  from-file: {}\n")
    assert completed("pull", "from", config=path) == ["from-file"]
    assert completed("plan", "smol", url=closed_url) == ["smollm2-135m"]


@pytest.mark.parametrize("content", ["models: [", "", "- a", "models: 3"])
def test_a_file_that_cannot_be_read_completes_nothing(tmp_path: Path, content: str) -> None:
    path = tmp_path / "models.yaml"
    path.write_text(content)
    assert completed("pull", "", config=path) == []
    assert completed("pull", "", config=tmp_path / "none.yaml") == []


def test_tab_completes_commands_and_models_of_a_conversation() -> None:
    num_asked = 0

    def models() -> list[str]:
        nonlocal num_asked
        num_asked += 1
        return ["gpt2", "gemma"]

    completer = Completer(["/model", "/models", "/save"], models)
    assert [completer.complete("/mo", number) for number in range(3)] == ["/model ", "/models ", None]
    assert [completer.complete("/model g", number) for number in range(3)] == ["/model gpt2", "/model gemma", None]
    assert completer.complete("/model ge", 0) == "/model gemma"
    assert completer.complete("Tell me", 0) is None
    assert num_asked == 1


def test_tab_is_silent_where_the_server_has_gone() -> None:
    def models() -> list[str]:
        raise ServerConnectionError("gone")

    assert Completer(["/model"], models).complete("/model g", 0) is None
