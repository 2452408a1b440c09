"""The examples as a user runs them, against a real server with a real model."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.server_process import ServerProcess

pytestmark = pytest.mark.long

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(server: ServerProcess, name: str, *arguments: str) -> str:
    interpreter = "bash" if name.endswith(".sh") else sys.executable
    command = [interpreter, str(EXAMPLES / name), *arguments]
    environment = os.environ | {"HOSTLER_URL": server.url}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["01_quickstart.py", "02_openai_client.py", "03_basic_client.py", "09_curl.sh"])
def test_an_example_is_told_the_capital_of_france(server: ServerProcess, name: str) -> None:
    assert "Paris" in run(server, name)


def test_real_models_are_compared_and_prompts_are_batched(server: ServerProcess) -> None:
    shown = run(server, "04_compare_and_batch.py", "smollm2-135m", "tiny-gpt2").splitlines()
    assert [line.partition(":")[0] for line in shown[:2]] == ["smollm2-135m", "tiny-gpt2"]
    assert sum(line.startswith("The most useful thing about a ") for line in shown) == 6


def test_a_real_model_answers_in_the_asked_form(server: ServerProcess) -> None:
    *facts, verdict = run(server, "07_structured_output.py").splitlines()
    assert len(facts) == 3
    assert all(" legs, " in fact for fact in facts)
    assert verdict.rpartition(": ")[2] in ("yes", "no")


def test_a_model_from_a_folder_is_served(registry_file: Path, hostler_cache_dir: Path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "08_own_model.py", registry_file.parent / "tiny-gpt2", "Once upon a time"],
        env=os.environ | {"HOSTLER_CACHE_DIR": str(hostler_cache_dir)},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "A model of my own\nOnce upon a time" in done.stdout
