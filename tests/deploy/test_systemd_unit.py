"""The unit, by systemd's own tools."""

import configparser
import re
import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest

from hostler.config import Settings
from tests.deploy.conftest import ROOT

UNIT = ROOT / "deploy" / "systemd" / "hostler.service"
GPU = ROOT / "deploy" / "systemd" / "gpu.conf"
PROGRAM = "/opt/hostler/bin/hostler"


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """It, with the program where it is here: one that is not there is a mistake of its own."""
    text = UNIT.read_text()
    assert text.count(f"ExecStart={PROGRAM} ") == 1
    here = Path(sys.executable).with_name("hostler")
    path = tmp_path / "hostler.service"
    path.write_text(text.replace(f"ExecStart={PROGRAM} ", f"ExecStart={here} "))
    return path


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = which("systemd-analyze")
    assert program is not None, "systemd-analyze is needed: install Debian's package systemd"
    return subprocess.run([program, *arguments, "--no-pager"], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("has_gpu", [False, True])
def test_systemd_finds_no_mistake(unit: Path, has_gpu: bool) -> None:
    if has_gpu:
        folder = unit.parent / "hostler.service.d"
        folder.mkdir()
        (folder / "gpu.conf").write_text(GPU.read_text())
    done = analyze("verify", unit)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_systemd_notices_mistakes(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("NoNewPrivileges=yes", "NoNewPrivilege=yes"))
    assert "NoNewPrivilege" in analyze("verify", unit).stderr


def test_little_is_exposed(unit: Path) -> None:
    done = analyze("security", "--offline=true", "--threshold=15", unit)
    assert done.returncode == 0, done.stdout
    assert re.search(r"Overall exposure level for hostler.service: (0|1)\.\d OK", done.stdout)


def values() -> dict[str, str]:
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(UNIT.read_text())
    return dict(parser["Service"])


def test_a_stop_has_more_time_than_requests_that_finish() -> None:
    # Longer graces are asked for by the server itself.
    assert int(values()["TimeoutStopSec"]) >= Settings.model_fields["shutdown_grace_s"].default + 15


def test_its_variables_are_settings_and_lie_in_folders_that_it_may_write() -> None:
    variables = dict(re.findall(r"^Environment=(\w+)=(.+)$", UNIT.read_text(), re.MULTILINE))
    assert {name.lower() for name in variables} - {"home", "hf_home"} <= set(Settings.model_fields)
    folders = (f"/var/lib/{values()['StateDirectory']}", f"/var/cache/{values()['CacheDirectory']}")
    assert all(value.startswith(folders) for value in variables.values())
