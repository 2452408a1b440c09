"""A folder with a model that obeys its tokens, and the pipes that it waits at."""

import asyncio
import os
import select
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from tests.tiny_models import build_tiny_model


def build_obedient_model(folder: Path, *, at_load: Sequence[int] = ()) -> Path:
    """A GPT-2 with room for 4,200 tokens and the code of `obedient_gpt2`; its pipes are in the same folder.

    `at_load`: tokens that it obeys when it is loaded.
    """
    build_tiny_model("gpt2", folder)
    config = AutoConfig.from_pretrained(folder)
    config.n_positions = 4200
    with torch.random.fork_rng(devices=[]):
        # With some weights, what is likeliest after a harmless prompt is a token that it obeys.
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config)
    model.config.auto_map = {"AutoModelForCausalLM": "obedient_gpt2.ObedientGPT2"}
    model.config.gate_folder = str(folder)
    model.config.at_load = list(at_load)
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

    def has_begun(self) -> bool:
        """Whether the worker has been in a forward pass that nobody has waited for."""
        return bool(select.select([self._begun], [], [], 0)[0])

    def go(self) -> None:
        """Let one forward pass go on, now or when it begins."""
        os.write(self._go, b".")

    async def step(self) -> None:
        await self.begun()
        self.go()

    def close(self) -> None:
        os.close(self._begun)
        os.close(self._go)
