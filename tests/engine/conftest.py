"""Tiny models, built once per run."""

from collections.abc import Callable
from functools import cache

import pytest

from tests.engine.harness import TinyModel
from tests.tiny_models import build_tiny_model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], TinyModel]:
    """Family name → loaded model."""

    @cache
    def load(family: str) -> TinyModel:
        return TinyModel(build_tiny_model(family, tmp_path_factory.mktemp("models") / family))

    return load
