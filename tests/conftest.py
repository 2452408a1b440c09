"""What tests of several packages share."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from hostler import host_memory
from hostler.config import Settings

pytest_plugins = ["tests.docs.listing"]

# How long an example takes says more of the machine than of the code.
settings.register_profile("searching", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# The same examples in each run: what fails is what was changed. `make test-long` looks for others.
settings.register_profile("repeating", settings.get_profile("searching"), derandomize=True)
settings.load_profile("repeating")


@pytest.fixture(scope="session")
def hostler_cache_dir(pytestconfig: pytest.Config) -> Path:
    """A cache for converted weights that outlives a run: converting the embedded model takes half a minute."""
    folder = pytestconfig.rootpath / ".pytest_cache" / "hostler"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(autouse=True)
def _log_level_restored() -> Iterator[None]:
    """A server in this process may have been told to change it, and schemathesis tells it every level there is."""
    before = logging.getLogger().level
    yield
    logging.getLogger().setLevel(before)


@pytest.fixture(autouse=True)
def _nothing_else_takes_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left on the machine that runs the tests is nobody's concern."""
    monkeypatch.setattr(host_memory, "available_bytes", lambda: 2**50)


@pytest.fixture(autouse=True, scope="session")
def _no_settings_from_outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whoever runs the tests may have set variables, or made keys, for a server of their own."""
    with pytest.MonkeyPatch.context() as environment:
        for name in Settings.model_fields:
            environment.delenv(name.upper(), raising=False)
        environment.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield
