"""A launcher of real workers, and tiny models for them."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from transformers import AutoConfig, AutoModelForCausalLM

from hostler.config import Settings, load_settings
from hostler.worker.launcher import ForkserverLauncher
from tests.tiny_models import build_tiny_model


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("worker-models")
    return {family: build_tiny_model(family, root / family) for family in ("gpt2", "t5")}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(None, {"hostler_cache_dir": tmp_path / "cache", "torch_dtype": "float32"})


@pytest.fixture
async def launcher(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ForkserverLauncher]:
    # Where transformers copies the code of repositories that bring some.
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    launcher = ForkserverLauncher(settings)
    await launcher.start()
    yield launcher
    await launcher.close()


@pytest.fixture(scope="session")
def obedient_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2 with room for 4,200 tokens and the code of `obedient_gpt2`; its pipes are in the same folder."""
    folder = build_tiny_model("gpt2", tmp_path_factory.mktemp("obedient") / "obedient")
    config = AutoConfig.from_pretrained(folder)
    config.n_positions = 4200
    model = AutoModelForCausalLM.from_config(config)
    model.config.auto_map = {"AutoModelForCausalLM": "obedient_gpt2.ObedientGPT2"}
    model.config.gate_folder = str(folder)
    model.save_pretrained(folder)
    shutil.copy(Path(__file__).parent / "obedient_gpt2.py", folder)
    for name in ("begun", "go"):
        os.mkfifo(folder / name)
    return folder


class Gate:
    """Holds up a worker at each forward pass that is told to wait."""

    def __init__(self, folder: Path) -> None:
        # Open at both ends, so that neither side waits for the other to open it.
        self._begun = os.open(folder / "begun", os.O_RDWR)
        self._go = os.open(folder / "go", os.O_RDWR)

    async def begun(self) -> None:
        """Wait until the worker is in the next forward pass."""
        assert await asyncio.to_thread(os.read, self._begun, 1) == b"."

    def go(self) -> None:
        """Let one forward pass go on, now or when it begins."""
        os.write(self._go, b".")

    async def step(self) -> None:
        await self.begun()
        self.go()

    def close(self) -> None:
        os.close(self._begun)
        os.close(self._go)


@pytest.fixture
def gate(obedient_folder: Path) -> Iterator[Gate]:
    gate = Gate(obedient_folder)
    yield gate
    gate.close()
