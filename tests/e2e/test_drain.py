"""What becomes of those who are there when the server is told to leave, and what is left of it."""

import asyncio
import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from tests.e2e.obedient_registry import build_obedient_registry
from tests.e2e.server_process import END_TIMEOUT_S, ServerProcess
from tests.worker.obedience import Gate
from tests.worker.obedient_gpt2 import FAIL, RUN_OUT_OF_MEMORY, STICK, WAIT

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_obedient_registry(tmp_path_factory.mktemp("drain"))


@pytest.fixture
def gate(folder: Path) -> Iterator[Gate]:
    gate = Gate(folder / "obedient")
    yield gate
    gate.close()


def serve(folder: Path, grace_s: float) -> ServerProcess:
    """With its temporary files in a folder of its own, `temporary`."""
    (folder / "temporary").mkdir(exist_ok=True)
    environment = {
        "HF_MODULES_CACHE": str(folder / "modules"),
        "SHUTDOWN_GRACE_S": str(grace_s),
        "TMPDIR": str(folder / "temporary"),
    }
    return ServerProcess(folder / "models.yaml", folder / "cache", folder / "stderr.log", environment)


def stream_of(server: ServerProcess, client: httpx2.Client, prompt: list[int], max_tokens: int) -> Iterator[str]:
    """The events of an answer."""
    asked: dict[str, Any] = {
        "model": "obedient",
        "prompt": prompt,
        "max_tokens": max_tokens,
        "stream": True,
        "ignore_eos": True,
    }
    # Of all tokens, those that the model obeys must not be drawn.
    asked["logit_bias"] = {str(token): -100 for token in (FAIL, RUN_OUT_OF_MEMORY, WAIT, STICK)}
    with client.stream("POST", f"{server.url}/v1/completions", json=asked) as response:
        assert response.status_code == 200
        yield from (line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: "))


def expect_nothing_left(server: ServerProcess, family: list[psutil.Process], folder: Path) -> None:
    assert server.process.wait(END_TIMEOUT_S) == 0
    assert psutil.wait_procs(family, END_TIMEOUT_S)[1] == []
    assert list((folder / "temporary").iterdir()) == []


def drained(server: ServerProcess) -> None:
    """Return when the server says that it is not ready."""
    while httpx2.get(f"{server.url}/health/ready").status_code != 503:
        pass


def test_a_stream_finishes_and_who_comes_is_sent_elsewhere(folder: Path, gate: Gate) -> None:
    with serve(folder, 60) as server, ThreadPoolExecutor() as threads, httpx2.Client(timeout=60) as client:
        running = threads.submit(lambda: list(stream_of(server, client, [WAIT], 2)))
        asyncio.run(gate.begun())
        family = server.family()
        server.process.send_signal(signal.SIGTERM)
        drained(server)
        refused = httpx2.get(f"{server.url}/models")
        assert (refused.status_code, refused.json()["code"]) == (503, "shutting_down")
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.headers["connection"] == "close"
        assert httpx2.get(f"{server.url}/health/live").status_code == 200
        gate.go()
        events = running.result()
        assert events[-1] == "[DONE]"
        assert json.loads(events[-2])["choices"][0]["finish_reason"] == "length"
        expect_nothing_left(server, family, folder)
        assert "requests_cut_off" not in server.log.read_text()


@pytest.mark.parametrize(("grace_s", "num_signals"), [(0.1, 1), (600, 2)])
def test_a_stream_whose_time_is_over_ends_with_an_error_that_says_so(
    folder: Path, grace_s: float, num_signals: int
) -> None:
    with serve(folder, grace_s) as server, httpx2.Client(timeout=60) as client:
        events = stream_of(server, client, [1, 2, 3], 4100)
        next(events)
        family = server.family()
        server.process.send_signal(signal.SIGTERM)
        if num_signals == 2:
            drained(server)
            server.process.send_signal(signal.SIGTERM)
        *_, error, last = events
        assert json.loads(error)["error"]["code"] == "shutting_down"
        assert last == "[DONE]"
        expect_nothing_left(server, family, folder)
        assert "requests_cut_off num_requests=1" in server.log.read_text()
