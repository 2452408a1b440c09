"""The command line in a terminal: what somebody sees who has no server, no colour, 40 columns or enough of waiting."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import ROW
from tests.cli.stub_server import KEY, StubServer
from tests.cli.terminal import Terminal
from tests.fake_hub import FakeHub

HOSTLER = str(Path(sys.executable).with_name("hostler"))
ROWS = {
    "smollm2-135m": {**ROW, "num_leases": 2, "last_used": "2026-01-31T12:00:00+00:00"},
    "llama-3.2-1b-instruct": {**ROW, "state": "unloaded", "loaded": False, "gated": True, "memory_bytes": 0},
}


@pytest.fixture
def server() -> Iterator[StubServer]:
    with StubServer(ROWS) as server:
        yield server


def test_no_server_is_one_sentence_in_a_narrow_terminal_too(closed_url: str) -> None:
    with Terminal([HOSTLER, "chat", "--url", closed_url], columns=40) as terminal:
        assert terminal.wait() == 1
    assert terminal.screen == f"hostler: no server answers at {closed_url}: start it with 'hostler serve'"


@pytest.mark.long
def test_a_wrong_key_says_where_the_right_one_goes() -> None:
    with StubServer(ROWS, needs_key=True) as server:
        with Terminal([HOSTLER, "models", "--url", server.url], environment={"HOSTLER_API_KEY": "wrong"}) as terminal:
            assert terminal.wait() == 1
        assert "put the server's key into HOSTLER_API_KEY, or give it with --api-key" in terminal.screen
        with Terminal([HOSTLER, "models", "--url", server.url], environment={"HOSTLER_API_KEY": KEY}) as terminal:
            assert terminal.wait() == 0


@pytest.mark.long
def test_an_unknown_model_is_one_line_with_the_nearest(server: StubServer) -> None:
    with Terminal([HOSTLER, "chat", "smollm", "--url", server.url]) as terminal:
        assert terminal.wait() == 1
    assert "the nearest is tiny ('hostler models' lists all)" in terminal.screen.replace("\n", "")


def test_a_narrow_terminal_keeps_the_columns_that_matter(server: StubServer) -> None:
    with Terminal([HOSTLER, "models", "--url", server.url], columns=40) as terminal:
        assert terminal.wait() == 0
    lines = terminal.screen.splitlines()
    assert lines[0].split() == ["id", "state"]
    assert [line.split()[0] for line in lines[1:]] == list(ROWS)
    assert max(map(len, lines)) <= 40


@pytest.mark.long
@pytest.mark.parametrize(("term", "environment"), [("dumb", {}), ("xterm-256color", {"NO_COLOR": "1"})])
def test_without_colour_there_is_none(server: StubServer, term: str, environment: dict[str, str]) -> None:
    with Terminal([HOSTLER, "models", "--url", server.url], term=term, environment=environment) as terminal:
        assert terminal.wait() == 0
    assert "smollm2-135m" in terminal.raw
    assert "\x1b[3" not in terminal.raw


@pytest.mark.long
def test_a_watched_table_stays_until_it_is_interrupted_and_leaves_the_screen_as_it_was(server: StubServer) -> None:
    with Terminal([HOSTLER, "models", "--watch", "--url", server.url], columns=100) as terminal:
        assert "in flight" in terminal.wait_for("1 of 2 in memory")
        terminal.press_ctrl_c()
        assert terminal.wait() == 0
    assert terminal.screen.replace("^C", "") == ""


@pytest.mark.long
def test_a_closed_pipe_ends_a_command_in_silence(server: StubServer) -> None:
    for command in (["models", "--url", server.url], ["models", "--file"], ["models", "--json", "--url", server.url]):
        process = subprocess.Popen([HOSTLER, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        process.stderr.close()
        assert process.wait(60) == 141


def test_ctrl_c_stops_an_answer_and_not_the_conversation(server: StubServer, tmp_path: Path) -> None:
    state = {"XDG_STATE_HOME": str(tmp_path)}
    with Terminal([HOSTLER, "chat", "smollm2-135m", "--url", server.url], environment=state) as terminal:
        terminal.wait_for(">>>")
        terminal.write("Tell me of horses\r")
        terminal.wait_for("\nOnce")
        terminal.press_ctrl_c()
        assert server.hung_up.wait(60)
        terminal.wait_for("stopped")
        terminal.write("/model ll\t\r")  # Tab completes it
        terminal.wait_for("llama-3.2-1b-instruct\n>>>")  # or the end would come while the terminal changes hands
        terminal.write("\x04")
        assert terminal.wait() == 0
    history = tmp_path / "hostler" / "chat_history"
    assert history.read_text().splitlines() == ["Tell me of horses", "/model llama-3.2-1b-instruct"]
    assert history.stat().st_mode & 0o777 == 0o600


def test_ctrl_d_during_an_answer_leaves_after_it_and_after_what_was_typed_before(
    server: StubServer, tmp_path: Path
) -> None:
    state = {"XDG_STATE_HOME": str(tmp_path)}
    with Terminal([HOSTLER, "chat", "smollm2-135m", "--url", server.url], environment=state) as terminal:
        terminal.wait_for(">>>")
        terminal.write("Tell me of horses\r")
        terminal.wait_for("\nOnce")
        terminal.write("/system Rhyme\r\x04")
        terminal.wait_for("Once /system Rhyme")  # the terminal has taken it
        server.is_over.set()
        terminal.wait_for("it holds from the next message on")
        assert terminal.wait() == 0


def test_ctrl_c_during_a_download_keeps_what_has_come(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}')
    (folder / "tokenizer.json").write_text("{}")
    content = os.urandom(4 * 2**20)
    (folder / "model.safetensors").write_bytes(content)
    config = tmp_path / "models.yaml"
    config.write_text("models:\n  tiny: {name: acme/tiny, type: text, size: 1M, description: d, max_length: 128}\n")
    with FakeHub() as hub:
        hub.add_repository("acme/tiny", folder, large=True)
        hub.pause_at = 3 * 2**20
        environment = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "TRANSFORMERS_CACHE": str(tmp_path / "cache")}
        pull = [HOSTLER, "pull", "tiny", "--config", str(config)]
        with Terminal(pull, environment=environment) as terminal:
            assert hub.paused.wait(60)
            terminal.wait_for("3.0/4.0 MiB")
            terminal.press_ctrl_c()
            assert terminal.wait() == 130
        assert "3 MiB of 4 MiB are here, and the same command goes on from there" in terminal.screen
        hub.go_on.set()
        hub.pause_at = None
        with Terminal(pull, environment=environment, columns=40) as terminal:
            assert terminal.wait() == 0
        assert "of which 3 MiB are here" in terminal.screen.replace("\n", "")
        assert 3 * 2**20 in [request.first_byte for request in hub.requests]
    (weights,) = (tmp_path / "cache").rglob("snapshots/*/model.safetensors")
    assert weights.read_bytes() == content


def test_a_dumb_terminal_of_40_columns_has_lines_of_40(server: StubServer) -> None:
    with Terminal([HOSTLER, "models", "--url", server.url], columns=40, term="dumb") as terminal:
        assert terminal.wait() == 0
    assert "smollm2-135m" in terminal.screen
    assert max(map(len, terminal.screen.splitlines())) <= 40


def test_a_full_disk_behind_the_output_is_one_sentence(server: StubServer) -> None:
    with Path("/dev/full").open("w") as full:
        command = [HOSTLER, "models", "--json", "--url", server.url]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "hostler: there is no room left to write the output: make some, then run this again\n"
