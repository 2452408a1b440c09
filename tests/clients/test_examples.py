"""Examples that need a client of their own."""

import os
import subprocess
from pathlib import Path

from tests.clients.conftest import KEY, SCRIPT_TIMEOUT_S
from tests.clients.environments import python_of
from tests.e2e.server_process import ServerProcess

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_a_chain_of_langchains_answers(server: ServerProcess, tmp_path: Path) -> None:
    done = subprocess.run(
        [python_of("langchain"), EXAMPLES / "05_langchain.py"],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "HOSTLER_URL": server.url,
            "HOSTLER_API_KEY": KEY,
        },
        capture_output=True,
        text=True,
        timeout=SCRIPT_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    first, *others = done.stdout.splitlines()
    assert "Paris" in first
    assert len(others) >= 2
