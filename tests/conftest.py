"""What tests of several packages share."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says more of the machine than of the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def hostler_cache_dir(pytestconfig: pytest.Config) -> Path:
    """A cache for converted weights that outlives a run: converting the embedded model takes half a minute."""
    folder = pytestconfig.rootpath / ".pytest_cache" / "hostler"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
