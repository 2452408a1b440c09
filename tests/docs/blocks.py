"""Blocks of code in the documents, and how one is run."""

import asyncio
import contextlib
import io
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])

RUN = ("python", "sh", "bash")
CHECKED = ("yaml", "yml", "json")
SHOWN = ("", "text", "console")
"""What a program prints, and diagrams."""

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)
_NOT_RUN = re.compile(r"<!-- not run: (?P<reason>.+?) -->\n\s*$")
_SHOWN_URL = "http://127.0.0.1:8000"
_COMMAND = re.compile(r"^(?:\w+ \| )?(?P<name>[\w.-]+)(?: (?P<word>\S+))?", re.MULTILINE)
"""Of a line that begins one; what goes on with one is indented, or begins with a bracket."""
_HARMLESS = ("curl", "echo", "git", "hostler", "source")
_HARMFUL_WORDS = ("serve", "pull", "check", "doctor", "clone")
"""They last, download, or look at more than the server."""
_LONGEST_S = 60.0
_BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Block:
    page: str
    """Its path in the repository."""
    line: int
    language: str
    text: str
    not_run: str | None
    """Why it cannot be run in a test, as the comment above it says: `<!-- not run: reason -->`."""

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text()
    found = []
    for fence in _FENCE.finditer(text):
        before = text[: fence.start()]
        marker = _NOT_RUN.search(before)
        found.append(
            Block(
                page=str(page.relative_to(ROOT)),
                line=before.count("\n") + 1,
                language=fence["language"],
                text=fence["text"],
                not_run=None if marker is None else marker["reason"],
            )
        )
    return found


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def is_harmless(block: Block) -> bool:
    """Whether it does no more than ask a server; whatever else a page may tell a reader to do is not done in a test."""
    if block.language == "python":
        return True
    commands = [found.groups() for found in _COMMAND.finditer(block.text)]
    is_ours = all(_SHOWN_URL in line for line in block.text.splitlines() if line.startswith("curl"))
    return is_ours and all(name in _HARMLESS and word not in _HARMFUL_WORDS for name, word in commands)


def run(block: Block, url: str, folder: Path) -> str:
    """What it prints, against the server at `url` and in that folder.

    Raises:
        AssertionError: a command failed, or does more than ask a server.
        Exception: whatever a Python block raises.
    """
    assert is_harmless(block), f"{block.place} does more than ask a server: put `<!-- not run: reason -->` above it"
    text = block.text.replace(_SHOWN_URL, url)
    return _run_python(text, block.place) if block.language == "python" else _run_shell(text, url, folder)


def _run_python(text: str, name: str) -> str:
    """In this process, since its imports are what takes time."""
    printed = io.StringIO()
    namespace: dict[str, object] = {"__name__": "__main__"}
    with contextlib.redirect_stdout(printed), contextlib.ExitStack() as ends:
        exec(compile(text, name, "exec"), namespace)
        for value in namespace.values():
            close = getattr(value, "close", None)
            if not isinstance(value, type) and callable(close):
                ends.callback(_close, close)
    return printed.getvalue()


def _close(close: object) -> None:
    assert callable(close)
    ended = close()
    if asyncio.iscoroutine(ended):
        asyncio.run(ended)


def _run_shell(text: str, url: str, folder: Path) -> str:
    """The folder is as a clone is in which `make serve` has been run."""
    (folder / ".venv").symlink_to(sys.prefix)
    path = os.pathsep.join([str(_BIN), os.environ["PATH"]])
    ended = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", text],
        cwd=folder,
        env=os.environ | {"HOSTLER_URL": url, "PATH": path, "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=_LONGEST_S,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout
