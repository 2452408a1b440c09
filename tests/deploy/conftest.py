"""The repository, and settings that come from nowhere else."""

from pathlib import Path

import pytest

from hostler.config import Settings

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
