"""A server that is started to be measured, and that is gone afterwards with all of its processes."""

import os
import shlex
import subprocess
import time
from pathlib import Path

import httpx2
import psutil

POLL_S = 0.5
STOP_TIMEOUT_S = 30


class ServerProcess:
    """Starts with the `with` block and ends with it."""

    def __init__(self, command: str, env: dict[str, str], log: Path | None) -> None:
        """`log`: file that what the server prints is added to; `None`: it is thrown away."""
        self._command = shlex.split(command)
        self._env = {**os.environ, **env}
        self._log = log or Path(os.devnull)

    def __enter__(self) -> "ServerProcess":
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=self._env, stdout=log, stderr=log)
        self.tree = psutil.Process(self._process.pid)
        """The server's first process, parent of all others."""
        return self

    def __exit__(self, *_raised: object) -> None:
        processes = [self.tree, *self.tree.children(recursive=True)] if self.tree.is_running() else []
        self._process.terminate()
        _, alive = psutil.wait_procs(processes, timeout=STOP_TIMEOUT_S)
        for process in alive:
            process.kill()
        self._process.wait()

    def wait_until_ready(self, url: str, timeout_s: float) -> None:
        """Poll until the list of models is served, or anything but an error of the connection.

        Raises:
            RuntimeError: the server ended, or took too long.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended with status {self._process.returncode}: {self._command}")
            try:
                httpx2.get(f"{url.rstrip('/')}/models", timeout=10)
            except httpx2.TransportError:
                time.sleep(POLL_S)
            else:
                return
        raise RuntimeError(f"the server did not answer within {timeout_s:.0f} s: {self._command}")
