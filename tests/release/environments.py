"""Clean environments for what was built, and the targets that build it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.release.test_metadata import ROOT

INSTALL_TIMEOUT_S = 1200.0


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make as its user would; the interpreter of the tests is the one to build with.

    Raises:
        AssertionError: it failed; with what it said.
    """
    return run("make", "--no-print-directory", f"PYTHON={sys.executable}", *arguments, folder=ROOT)


def run(
    *command: str | Path, folder: Path | None = None, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in an environment that knows nothing of this one's Python.

    Raises:
        AssertionError: it failed; with what it said.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "MAKE"))}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**kept, **(variables or {})},
        capture_output=True,
        text=True,
        timeout=INSTALL_TIMEOUT_S,
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout[-4000:]}\n{done.stderr[-8000:]}"
    return done


class Environment:
    """A new virtual environment."""

    def __init__(self, folder: Path, interpreter: str = sys.executable) -> None:
        self._bin = folder / "bin"
        run(interpreter, "-m", "venv", folder)

    @property
    def python(self) -> Path:
        return self._bin / "python"

    @property
    def hostler(self) -> Path:
        return self._bin / "hostler"

    def install(self, *arguments: str | Path, variables: Mapping[str, str] | None = None) -> None:
        pip = (self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        run(*pip, *arguments, variables=variables)


def interpreters() -> dict[str, str]:
    """Version → executable of each Python of this machine that the package allows; of this one at least."""
    found = {f"{sys.version_info[0]}.{sys.version_info[1]}": sys.executable}
    for minor in range(11, 20):
        executable = shutil.which(f"python3.{minor}")
        if executable is not None and f"3.{minor}" not in found:
            shown = subprocess.run([executable, "-c", "import venv, ssl"], capture_output=True)
            if shown.returncode == 0:
                found[f"3.{minor}"] = executable
    return found
