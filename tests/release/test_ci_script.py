"""The first part of .ci/run: what it installs, and as whom."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.release.test_metadata import ROOT

PROGRAMS = {
    "redis-server": "redis-server",
    "nginx": "nginx",
    "openssl": "openssl",
    "systemd-analyze": "systemd",
    "chromium": "chromium",
}
"""What it looks for, beside make → Debian's package."""


class Machine:
    """A PATH with nothing on it but what a test puts there; every call is written down."""

    def __init__(self, root: Path, uid: int) -> None:
        self.calls = root / "calls"
        self._bin = root / "bin"
        self._bin.mkdir()
        (root / ".ci").mkdir()
        # Its own folder is the only one in which programs are found.
        script = (ROOT / ".ci" / "run").read_text().replace("PATH=$PATH:/usr/sbin:/sbin", "")
        self._script = root / ".ci" / "run"
        self._script.write_text(script)
        for name in ("bash", "dirname", "env"):
            (self._bin / name).symlink_to(str(shutil.which(name)))
        self.add("id", f"echo {uid}")
        self.add("make")
        self.add("apt-get")

    def add(self, name: str, line: str = "") -> None:
        program = self._bin / name
        program.write_text(f'#!{shutil.which("bash")}\necho "{name} $*" >> {self.calls}\n{line}\n')
        program.chmod(0o755)

    def remove(self, name: str) -> None:
        (self._bin / name).unlink()

    def run(self) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PATH": str(self._bin)}
        command = [str(shutil.which("bash")), str(self._script)]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    def called(self) -> list[str]:
        return [line for line in self.calls.read_text().splitlines() if not line.startswith("id ")]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path, uid=0)


def test_nothing_is_installed_where_all_is_there(machine: Machine) -> None:
    for program in PROGRAMS:
        machine.add(program)

    assert machine.run().returncode == 0
    assert machine.called() == [
        "make .venv/.stamp-dev",
        "make .venv/.stamp-docs",
        "make test",
        "make fuzz FUZZ_SECONDS=2 FUZZ_SEED=1",
        "make docs",
        "make test-browser",
        "make test-clients",
    ]


def test_what_is_missing_is_installed_before_anything_is_made(machine: Machine) -> None:
    machine.add("openssl")

    assert machine.run().returncode == 0

    packages = " ".join(package for program, package in PROGRAMS.items() if program != "openssl")
    install = f"apt-get install -y -qq --no-install-recommends {packages}"
    assert machine.called()[:3] == ["apt-get update -qq", install, "make .venv/.stamp-dev"]


def test_what_broke_off_while_it_was_fetched_is_fetched_once_more_and_a_test_is_not(machine: Machine) -> None:
    for program in PROGRAMS:
        machine.add(program)
    for target, calls in ((".venv/.stamp-dev", 2), ("test", 1)):
        machine.calls.write_text("")
        machine.add("make", f'[ "$*" != {target} ]')

        assert machine.run().returncode == 1
        assert machine.called()[-calls:] == [f"make {target}"] * calls
        assert machine.called().count(f"make {target}") == calls


def test_who_is_not_root_asks_sudo(tmp_path: Path) -> None:
    machine = Machine(tmp_path, uid=1000)
    machine.add("sudo", '"$@"')

    assert machine.run().returncode == 0

    called = machine.called()
    assert called[0] == "sudo env DEBIAN_FRONTEND=noninteractive apt-get update -qq"
    assert called[1] == "apt-get update -qq"


def test_who_may_not_install_is_told_what_is_missing(tmp_path: Path) -> None:
    done = Machine(tmp_path, uid=1000).run()

    assert done.returncode == 1
    assert done.stderr == f"install as root: {' '.join(PROGRAMS.values())}; then run this again\n"
    assert "make" not in (tmp_path / "calls").read_text()


def test_without_apt_get_the_names_of_what_is_missing_are_told(machine: Machine) -> None:
    machine.remove("apt-get")

    done = machine.run()

    assert done.returncode == 1
    missing = " ".join(PROGRAMS.values())
    assert done.stderr == f"no apt-get here: install {missing} (Debian's names), then run this again\n"
    assert not machine.calls.exists()


@pytest.mark.parametrize("failing", ["make", "apt-get"])
def test_what_fails_fails_the_whole(machine: Machine, failing: str) -> None:
    machine.add(failing, "exit 3")

    assert machine.run().returncode == 3
