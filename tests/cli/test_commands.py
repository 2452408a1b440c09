"""The command line as its user meets it."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostler import __version__
from hostler.worker import launcher as worker_launcher
from tests.cli.conftest import Run

ENTRY = "name: org/tiny\n    type: text\n    size: 1M\n    description: Tiny\n    max_length: 64"


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


def test_the_versions_of_what_is_installed_are_json_for_programs(run: Run) -> None:
    versions = json.loads(run("version", "--json").stdout)

    assert versions["hostler"] == __version__
    assert versions["torch"]


HEAVY = ("torch", "transformers", "fastapi", "starlette", "pydantic", "httpx2", "rich", "huggingface_hub")


def test_help_imports_nothing_that_takes_time() -> None:
    program = f"import sys; from hostler.cli import commands; print([m for m in {HEAVY} if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert shown.stdout.strip() == "[]"


def test_the_command_without_arguments_explains_itself(run: Run) -> None:
    result = run()

    assert all(command in result.output for command in ("serve", "models", "pull", "version"))


def test_the_package_runs_as_a_module() -> None:
    shown = subprocess.run([sys.executable, "-m", "hostler", "version"], capture_output=True, text=True, check=True)

    assert shown.stdout.strip() == __version__


def test_a_registry_file_is_listed_without_a_server(run: Run, registry_file: Path) -> None:
    result = run("models", "--file", "--config", str(registry_file))

    assert result.exit_code == 0
    heading, row = result.stdout.splitlines()
    assert heading.split()[:5] == ["id", "state", "type", "size", "device"]
    assert row.split()[:6] == ["tiny", "-", "(gated)", "text", "1M", "-"]


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


def test_without_the_engine_a_server_says_what_to_install(
    run: Run, registry_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_launcher, "find_spec", lambda _: None)

    result = run("serve", "--port", "0", "--config", str(registry_file))

    assert result.exit_code == 1
    assert result.stderr == "hostler: the engine is not installed: run pip install 'hostler[engine]'\n"
