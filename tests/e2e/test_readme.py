"""The blocks of the README, run as they stand there against a real server."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.server_process import ServerProcess

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = [
    (language, block)
    for language, block in re.findall(r"```(python|sh)\n(.*?)```", README, re.DOTALL)
    if "127.0.0.1:8000" in block and "make serve" not in block
]


def test_the_readme_shows_two_requests_and_two_clients() -> None:
    assert [language for language, _ in BLOCKS] == ["sh", "python", "python", "sh"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("language", "block"), BLOCKS, ids=["curl", "openai", "hostler", "schema"])
def test_a_block_of_the_readme_gets_an_answer(language: str, block: str, server: ServerProcess) -> None:
    text = block.replace("http://127.0.0.1:8000", server.url)
    command = [sys.executable, "-c", text] if language == "python" else ["bash", "-c", text]

    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert len(shown) > 10
    assert "detail" not in shown
