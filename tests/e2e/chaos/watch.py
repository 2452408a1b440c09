"""What a server looks like from outside while something happens to it."""

import json
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tests.e2e.server_process import END_TIMEOUT_S, ServerProcess

HEALTH_PROBE = Path(__file__).parents[3] / "benchmarks" / "health_probe.py"
SAMPLE_EVERY_S = 0.05
_REQUEST_LINE = re.compile(r"method=POST route=\S+(?:generate|completions) status=(\d+) .*error=(\S+)")


class Watch:
    """Counts the workers and times `/health`, from other threads and processes, while the `with` lasts."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="watch")
        self.most_workers = 0
        self.num_samples = 0
        self.health: dict[str, float] = {}
        """What `benchmarks/health_probe.py` reports; there after the `with`."""

    def _sample(self) -> None:
        while not self._is_over.wait(SAMPLE_EVERY_S):
            self.most_workers = max(self.most_workers, len(living_workers(self._server)))
            self.num_samples += 1

    def __enter__(self) -> Self:
        self._probe = subprocess.Popen(
            [sys.executable, HEALTH_PROBE, self._server.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()
        reported, _ = self._probe.communicate(timeout=END_TIMEOUT_S)
        self.health = json.loads(reported)


def living_workers(server: ServerProcess) -> list[psutil.Process]:
    """Those of its workers that hold memory: one that has ended may wait a moment for its parent to notice."""
    try:
        workers = server.workers()
    except psutil.NoSuchProcess:
        return []
    return [worker for worker in workers if _rss_bytes(worker) > 0]


def new_worker(server: ServerProcess, known_pids: Collection[int]) -> psutil.Process:
    """Wait for a worker that is none of these."""
    deadline = time.monotonic() + END_TIMEOUT_S
    while time.monotonic() < deadline:
        for worker in living_workers(server):
            if worker.pid not in known_pids:
                return worker
    raise AssertionError("no worker was started")


def _rss_bytes(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0


def own_bytes(process: psutil.Process) -> int:
    """Memory that the process alone has, and has written to. Pages of libraries do not count: whether they are its own
    depends on what else has torch loaded at the moment, which has been worth 10 MB."""
    return sum(int(mapping.private_dirty) for mapping in process.memory_maps())


def worker_pid(server: ServerProcess, model_id: str) -> int:
    """Of the last worker that was started for a model, as the log tells."""
    return int(re.findall(rf"worker_started model={re.escape(model_id)} pid=(\d+)", server.log.read_text())[-1])


def logged_requests(server: ServerProcess) -> Counter[str]:
    """How the requests for an answer ended that the server knows of: by status and code."""
    return Counter(f"{status} {code}" for status, code in _REQUEST_LINE.findall(server.log.read_text()))
