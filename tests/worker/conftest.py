"""A launcher of real workers, and tiny models for them."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from hostler.config import Settings, load_settings
from hostler.worker.forked import Forkserver
from hostler.worker.launcher import ForkserverLauncher
from tests.tiny_models import build_tiny_model
from tests.worker.obedience import Gate, build_obedient_model


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("worker-models")
    return {family: build_tiny_model(family, root / family) for family in ("gpt2", "t5")}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(None, {"hostler_cache_dir": tmp_path / "cache", "torch_dtype": "float32"})


@pytest.fixture(scope="session")
def forkserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forkserver]:
    """Of all launchers, since its imports take seconds."""
    forkserver = Forkserver()
    with pytest.MonkeyPatch.context() as environment:
        # Where transformers copies the code of repositories that bring some.
        environment.setenv("HF_MODULES_CACHE", str(tmp_path_factory.mktemp("modules")))
        forkserver.start()
    yield forkserver
    forkserver.close()


@pytest.fixture
async def launcher(settings: Settings, forkserver: Forkserver) -> AsyncIterator[ForkserverLauncher]:
    launcher = ForkserverLauncher(settings, forkserver)
    await launcher.start()
    yield launcher
    await launcher.close()


@pytest.fixture(scope="session")
def obedient_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_obedient_model(tmp_path_factory.mktemp("obedient") / "obedient")


@pytest.fixture
def gate(obedient_folder: Path) -> Iterator[Gate]:
    gate = Gate(obedient_folder)
    yield gate
    gate.close()
