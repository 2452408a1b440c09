"""The locks as `make lock` writes them now."""

import shutil
from pathlib import Path

import pytest

from tests.release.environments import make
from tests.release.test_metadata import ROOT

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


def test_the_locks_are_what_make_lock_writes(tmp_path: Path) -> None:
    locks = tmp_path / "locks"
    shutil.copytree(ROOT / "locks", locks)

    make("lock", f"LOCKS={locks}")

    for path in sorted((ROOT / "locks").iterdir()):
        assert (locks / path.name).read_text() == path.read_text(), path.name
