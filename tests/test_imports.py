"""What importing a part of the package brings along."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "safetensors", "tokenizers", "gguf", "numpy")


def modules_after(statement: str) -> set[str]:
    """Top-level names in `sys.modules` of a fresh interpreter after a statement."""
    program = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(run.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "module", ["hostler.cli", "hostler.client", "hostler.lifecycle.manager", "hostler.runtime", "hostler.server.app"]
)
def test_the_gateway_runs_without_torch(module: str) -> None:
    assert modules_after(f"import {module}").isdisjoint(HEAVY)


def test_help_is_shown_without_the_server_or_rich_or_pydantic() -> None:
    help_was_shown = modules_after(
        "import sys\nfrom hostler.cli import main\nsys.argv = ['hostler', '--help']\ntry:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code"
    )

    assert help_was_shown.isdisjoint({*HEAVY, "fastapi", "httpx2", "pydantic", "rich", "uvicorn"})


def test_the_client_needs_no_server() -> None:
    assert modules_after("import hostler.client").isdisjoint({"fastapi", "starlette", "uvicorn", "pydantic", "yaml"})
