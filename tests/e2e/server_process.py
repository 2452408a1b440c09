"""A server as its user starts it: a process of its own, told apart from this one by everything but the machine."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from hostler.config import Settings

HOSTLER = Path(sys.executable).with_name("hostler")
"""The console script of the installation under test."""

END_TIMEOUT_S = 60.0
"""Far above what a server needs to end; only a hung one takes it."""


class ServerProcess:
    """`hostler serve` on a free port, unless one is given. Leaving the `with` kills what is still there."""

    def __init__(
        self,
        config: Path,
        cache_dir: Path,
        log: Path,
        environment: Mapping[str, str] | None = None,
        *,
        port: int = 0,
        executable: Path = HOSTLER,
    ) -> None:
        """`log`: the file that its stderr goes to. `executable`: of another installation."""
        own_variables = {name.upper() for name in (*Settings.model_fields, "auto_unload_minutes", "transformers_cache")}
        inherited = {name: value for name, value in os.environ.items() if name not in own_variables}
        command: list[str | Path] = [executable, "serve", "--port", str(port), "--config", config]
        self.log = log
        with log.open("w") as stderr:
            self.process = psutil.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env={
                    **inherited,
                    "HOSTLER_CACHE_DIR": str(cache_dir),
                    "HF_HUB_OFFLINE": "1",
                    **(environment or {}),
                },
            )
        self.url = self._read_address()

    def _read_address(self) -> str:
        """Where it listens, from its summary, which it prints when it accepts requests."""
        for line in self.process.stdout:
            if found := re.search(r"serves on (http://\S+)", line):
                return found[1]
        raise AssertionError(f"the server ended before it listened:\n{self.log.read_text()}")

    def workers(self) -> list[psutil.Process]:
        """The processes that hold models: children of the server's own children, from which they were forked."""
        return [worker for child in self.process.children() for worker in child.children()]

    def family(self) -> list[psutil.Process]:
        """Every process that the server started."""
        return list(self.process.children(recursive=True))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            for process in [*self.family(), self.process]:
                # Some end by themselves when their parent is gone.
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        self.process.wait(END_TIMEOUT_S)
        self.process.stdout.close()
