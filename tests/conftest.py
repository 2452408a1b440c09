"""What tests of several packages share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def hostler_cache_dir(pytestconfig: pytest.Config) -> Path:
    """A cache for converted weights that outlives a run: converting the embedded model takes half a minute."""
    folder = pytestconfig.rootpath / ".pytest_cache" / "hostler"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
