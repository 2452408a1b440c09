"""The command line as its user meets it."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hostler import __version__
from hostler.cli import pulling
from hostler.cli.commands import app
from hostler.errors import GatedModelError
from hostler.types import LoadProgress
from hostler.worker import launcher as worker_launcher
from tests.fake_worker import FakeLauncher

ENTRY = "name: org/tiny\n    type: text\n    size: 1M\n    description: Tiny\n    max_length: 64"
Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    for name in ("MODEL_CONFIG_PATH", "API_KEY", "HOST", "PORT", "HOSTLER_URL", "HOSTLER_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    def run_command(*arguments: str) -> Result:
        return CliRunner().invoke(app, arguments)

    return run_command


@pytest.fixture
def registry_file(tmp_path: Path) -> Path:
    path = tmp_path / "models.yaml"
    path.write_text(f"models:\n  tiny:\n    {ENTRY}\n    gated: true\n")
    return path


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_version_is_the_packages(run: Run) -> None:
    assert run("version").stdout.strip() == __version__


def test_the_command_without_arguments_explains_itself(run: Run) -> None:
    result = run()

    assert all(command in result.output for command in ("serve", "models", "pull", "version"))


def test_the_package_runs_as_a_module() -> None:
    shown = subprocess.run([sys.executable, "-m", "hostler", "version"], capture_output=True, text=True, check=True)

    assert shown.stdout.strip() == __version__


def test_a_registry_file_is_listed_without_a_server(run: Run, registry_file: Path) -> None:
    result = run("models", "--file", "--config", str(registry_file))

    assert result.exit_code == 0
    assert result.stdout.splitlines()[0].split() == ["id", "type", "size", "state", "device", "last", "used"]
    assert result.stdout.splitlines()[1].split() == ["tiny", "text", "1M", "-", "(gated)", "-", "-"]


def test_the_listed_file_is_that_of_the_environment(
    run: Run, registry_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_CONFIG_PATH", str(registry_file))

    assert list(json.loads(run("models", "--file", "--json").stdout)) == ["tiny"]


@pytest.mark.parametrize(
    "arguments", [("models", "--file"), ("pull", "tiny"), ("serve",)], ids=["models", "pull", "serve"]
)
def test_a_wrong_file_is_one_line_and_status_2(run: Run, registry_file: Path, arguments: tuple[str, ...]) -> None:
    registry_file.write_text("models:\n  tiny:\n    nam: x\n")

    result = run(*arguments, "--config", str(registry_file))

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        f"hostler: {registry_file}, line 3: models.tiny.nam: is not a key of a model; did you mean 'name'?"
    ]


def test_no_server_is_one_line_with_what_to_do(run: Run, taken_port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    result = run("models", "--url", f"http://127.0.0.1:{port}")

    assert result.exit_code == 1
    assert result.stderr == f"hostler: no server answers at http://127.0.0.1:{port}: start it with 'hostler serve'\n"


def test_an_address_that_is_none_is_no_traceback(run: Run) -> None:
    result = run("models", "--url", "http://[")

    assert result.exit_code == 1
    assert result.stderr.startswith("hostler: ")
    assert len(result.stderr.splitlines()) == 1


def test_a_taken_port_is_one_line_with_what_to_do(run: Run, taken_port: int) -> None:
    result = run("serve", "--port", str(taken_port))

    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        f"hostler: port {taken_port} of 127.0.0.1 is in use:"
        " stop what listens there, or choose another with --port or PORT"
    )


def test_an_open_door_is_refused(run: Run) -> None:
    result = run("serve", "--host", "0.0.0.0")

    assert result.exit_code == 2
    assert "set API_KEY" in result.stderr


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> FakeLauncher:
    launcher = FakeLauncher()
    monkeypatch.setattr(pulling, "ForkserverLauncher", lambda _: launcher)
    return launcher


def test_pull_shows_each_stage_once_and_what_it_got(run: Run, registry_file: Path, launcher: FakeLauncher) -> None:
    launcher.model("tiny").progress = [
        LoadProgress(stage="downloading", done_bytes=1, total_bytes=2),
        LoadProgress(stage="downloading", done_bytes=2, total_bytes=2),
        LoadProgress(stage="loading"),
    ]

    result = run("pull", "org/Tiny", "--config", str(registry_file))

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "tiny: downloading",
        "tiny: loading",
        "tiny is ready: FakeForCausalLM, 1M parameters, 4 MB in float32",
    ]
    assert launcher.alive == []
    assert launcher.is_closed


def test_a_failed_pull_is_one_line_and_leaves_no_process(run: Run, registry_file: Path, launcher: FakeLauncher) -> None:
    launcher.model("tiny").load_error = GatedModelError("tiny is gated: set HF_TOKEN")

    result = run("pull", "tiny", "--config", str(registry_file))

    assert result.exit_code == 1
    assert result.stderr == "hostler: tiny is gated: set HF_TOKEN\n"
    assert launcher.alive == []
    assert launcher.is_closed


def test_pull_of_an_unknown_model_names_the_nearest(run: Run, registry_file: Path) -> None:
    result = run("pull", "tny", "--config", str(registry_file))

    assert result.exit_code == 1
    assert "the nearest are tiny" in result.stderr


@pytest.mark.parametrize("command", [["pull", "tiny"], ["serve", "--port", "0"]])
def test_without_the_engine_a_command_that_needs_it_says_what_to_install(
    command: list[str], run: Run, registry_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_launcher, "find_spec", lambda _: None)

    result = run(*command, "--config", str(registry_file))

    assert result.exit_code == 1
    assert result.stderr == "hostler: the engine is not installed: run pip install 'hostler[engine]'\n"
