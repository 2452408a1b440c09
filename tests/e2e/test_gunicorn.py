"""The gateway as gunicorn's worker: started, streamed from, stopped."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psutil
import pytest

from hostler.config import Settings
from tests.e2e.obedient_registry import build_obedient_registry
from tests.e2e.server_process import END_TIMEOUT_S
from tests.worker.obedience import Gate
from tests.worker.obedient_gpt2 import WAIT

pytestmark = [pytest.mark.timeout(180), pytest.mark.long]

GUNICORN = Path(sys.executable).with_name("gunicorn")


class Running:
    """gunicorn on a free port."""

    def __init__(self, process: psutil.Popen) -> None:
        self.process = process
        self.told = ""
        """What it has said so far."""
        self.url = self._read_address()

    def _read_address(self) -> str:
        for line in self.process.stderr:
            self.told += line
            if found := re.search(r"Listening at: (http://\S+)", line):
                return found[1]
        raise AssertionError(f"gunicorn ended before it listened:\n{self.told}")

    def worker(self) -> psutil.Process:
        """The gateway."""
        (worker,) = self.process.children()
        return worker


@contextmanager
def gunicorn(folder: Path, **environment: str) -> Iterator[Running]:
    inherited = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    process = psutil.Popen(
        [GUNICORN, "-c", "python:hostler.gunicorn_config"],
        env={
            **inherited,
            "PORT": "0",
            "MODEL_CONFIG_PATH": str(folder / "models.yaml"),
            "HOSTLER_CACHE_DIR": str(folder / "cache"),
            "HF_MODULES_CACHE": str(folder / "modules"),
            "HF_HUB_OFFLINE": "1",
            **environment,
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Running(process)
    finally:
        if process.poll() is None:
            for each in [*process.children(recursive=True), process]:
                each.kill()
            process.wait(END_TIMEOUT_S)
        process.stderr.close()


def test_a_stream_finishes_when_gunicorn_is_told_to_stop(tmp_path: Path) -> None:
    folder = build_obedient_registry(tmp_path)
    gate = Gate(folder / "obedient")
    asked = {"model": "obedient", "prompt": [WAIT], "max_tokens": 2, "stream": True, "ignore_eos": True}
    with gunicorn(folder, SHUTDOWN_GRACE_S="60") as running, ThreadPoolExecutor() as threads:
        answering = threads.submit(httpx2.post, f"{running.url}/v1/completions", json=asked, timeout=120)
        asyncio.run(gate.begun())
        family = running.process.children(recursive=True)
        running.process.send_signal(signal.SIGTERM)
        while httpx2.get(f"{running.url}/health/ready").status_code != 503:
            pass
        gate.go()
        answer = answering.result()
        assert answer.text.endswith("data: [DONE]\n\n")
        assert '"finish_reason":"length"' in answer.text
        assert running.process.wait(END_TIMEOUT_S) == 0
        assert psutil.wait_procs(family, END_TIMEOUT_S)[1] == []
        running.told += running.process.stderr.read()
    assert "requests_cut_off" not in running.told
    gate.close()


def test_a_gateway_that_stands_still_is_replaced(tmp_path: Path) -> None:
    folder = build_obedient_registry(tmp_path)
    with gunicorn(folder, GUNICORN_CMD_ARGS="--timeout 2") as running:
        assert httpx2.get(f"{running.url}/health").status_code == 200
        first = running.worker()
        first.suspend()
        first.wait(END_TIMEOUT_S)
        assert httpx2.get(f"{running.url}/health", timeout=END_TIMEOUT_S).status_code == 200
        assert running.worker() != first
