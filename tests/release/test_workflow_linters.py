"""The workflows, by tools of others: GitHub's schema, and an audit of what a stranger could do with them."""

import subprocess
from pathlib import Path

import pytest

from tests.release.environments import make
from tests.release.test_metadata import ROOT
from tests.release.test_workflows import FOLDER

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

TOOLS = ROOT / ".venv-release" / "bin"
# Below that is a newer spelling for files of the same repository, which older servers of GitHub do not read.
AUDIT = ("zizmor", "--offline", "--quiet", "--min-severity=medium")
SCHEMA = ("check-jsonschema", "--builtin-schema")


@pytest.fixture(scope="module", autouse=True)
def _tools() -> None:
    make(".venv-release/.stamp")


def lint(tool: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([TOOLS / tool, *arguments], capture_output=True, text=True)


def changed(old: str, new: str, folder: Path) -> Path:
    """The workflow of a change with something else in it."""
    text = (FOLDER / "ci.yml").read_text()
    assert old in text
    path = folder / ".github" / "workflows" / "ci.yml"
    path.parent.mkdir(parents=True)
    path.write_text(text.replace(old, new))
    return path


def test_nobody_gains_rights_by_a_workflow() -> None:
    done = lint(*AUDIT, FOLDER)
    assert done.returncode == 0, done.stdout


def test_rights_for_strangers_are_found_out(tmp_path: Path) -> None:
    done = lint(*AUDIT, changed("  pull_request:\n", "  pull_request_target:\n", tmp_path))
    assert done.returncode != 0
    assert "dangerous-triggers" in done.stdout


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.github-workflows", sorted(FOLDER.glob("*.yml"))),
        ("vendor.dependabot", [FOLDER.parent / "dependabot.yml"]),
    ],
    ids=["workflows", "dependabot"],
)
def test_every_file_is_what_github_takes(schema: str, files: list[Path]) -> None:
    done = lint(*SCHEMA, schema, *files)
    assert done.returncode == 0, done.stdout


def test_a_key_that_github_does_not_know_is_noticed(tmp_path: Path) -> None:
    done = lint(*SCHEMA, "vendor.github-workflows", changed("timeout-minutes: 60", "timeout-minute: 60", tmp_path))
    assert done.returncode == 1
    assert "timeout-minute" in done.stdout
