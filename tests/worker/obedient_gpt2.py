"""A GPT-2 that obeys its tokens: the code of a model's own repository, for workers that have to fail or to wait."""

import ctypes
import functools
from collections.abc import Collection
from pathlib import Path
from typing import Any

from transformers import GPT2LMHeadModel

FAIL = 180
"""A forward pass with this token among its input raises an error. It is of a byte that no UTF-8 has, as are the others,
so that no text holds it."""
RUN_OUT_OF_MEMORY = 181
"""It raises what torch raises when a CPU has no more."""
WAIT = 182
"""It writes a byte to the pipe `begun` and waits for one from `go`, in the folder that the config names."""
STICK = 183
"""It writes a byte to `begun` and then never returns, nor lets any other thread of Python run."""
OBEYED = (FAIL, RUN_OUT_OF_MEMORY, WAIT, STICK)


class ObedientGPT2(GPT2LMHeadModel):
    """Does not change what GPT-2 computes."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._obey(config.at_load)

    @functools.wraps(GPT2LMHeadModel.forward)
    def forward(self, input_ids: Any = None, *args: Any, **kwargs: Any) -> Any:
        self._obey(input_ids.flatten().tolist())
        return super().forward(input_ids, *args, **kwargs)

    def _obey(self, tokens: Collection[int]) -> None:
        if FAIL in tokens:
            raise RuntimeError("told to fail")
        if RUN_OUT_OF_MEMORY in tokens:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 TB")
        if WAIT in tokens:
            self._begin()
            with (Path(self.config.gate_folder) / "go").open("rb", buffering=0) as go:
                go.read(1)
        if STICK in tokens:
            self._begin()
            # A library that holds the interpreter's lock while it is called; no signal comes that ends the pause.
            ctypes.PyDLL(None).pause()

    def _begin(self) -> None:
        with (Path(self.config.gate_folder) / "begun").open("wb", buffering=0) as begun:
            begun.write(b".")
