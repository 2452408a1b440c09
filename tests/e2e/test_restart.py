"""A gateway that is killed under its clients, and started again by whoever watches it."""

import asyncio
import itertools
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import openai
import psutil
import pytest

from tests.e2e.obedient_registry import MODEL, build_obedient_registry
from tests.e2e.server_process import END_TIMEOUT_S, ServerProcess
from tests.worker.obedience import Gate
from tests.worker.obedient_gpt2 import OBEYED, WAIT

pytestmark = [pytest.mark.timeout(240), pytest.mark.long]

NUM_CALLERS = 4
NUM_REQUESTS = 5
"""Of each."""


class Supervisor:
    """Starts the server again on the same port whenever it has ended."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._starts = itertools.count(1)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port: int = free.getsockname()[1]
        self.server = self._start()
        self._is_over = False
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def close(self) -> None:
        """Told to stop, the server is not started again."""
        self._is_over = True
        self.server.process.terminate()
        self._thread.join()

    def _start(self) -> ServerProcess:
        log = self._folder / f"stderr-{next(self._starts)}.log"
        environment = {"HF_MODULES_CACHE": str(self._folder / "modules")}
        return ServerProcess(self._folder / "models.yaml", self._folder / "cache", log, environment, port=self._port)

    def _watch(self) -> None:
        while True:
            with self.server as server:
                server.process.wait()
            if self._is_over:
                return
            self.server = self._start()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return build_obedient_registry(tmp_path)


@pytest.fixture
def supervisor(folder: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(folder)
    yield supervisor
    supervisor.close()


def test_nothing_is_lost_with_a_gateway_but_the_streams_in_flight(folder: Path, supervisor: Supervisor) -> None:
    gate = Gate(folder / MODEL)
    client = openai.OpenAI(base_url=f"{supervisor.url}/v1", api_key="unused", max_retries=20)

    def complete(prompt: list[int]) -> str:
        forbidden = {str(token): -100 for token in OBEYED}
        answer = client.completions.create(
            model=MODEL, prompt=prompt, temperature=0, max_tokens=4, logit_bias=forbidden
        )
        return answer.choices[0].text

    def complete_all(caller: int) -> list[str]:
        return [complete([caller, request, 7]) for request in range(NUM_REQUESTS)]

    expected = [complete_all(caller) for caller in range(NUM_CALLERS)]
    first = supervisor.server
    with ThreadPoolExecutor() as threads, httpx2.Client(timeout=60) as streaming:
        asked = {"model": MODEL, "prompt": [WAIT], "max_tokens": 2, "stream": True}
        with streaming.stream("POST", f"{supervisor.url}/v1/completions", json=asked) as stream:
            asyncio.run(gate.begun())
            # These wait for the pass that does not end, so that the kill finds them all under way.
            answers = [threads.submit(complete_all, caller) for caller in range(NUM_CALLERS)]
            while not all_wait(supervisor.url, NUM_CALLERS):
                pass
            family = first.family()
            first.process.kill()
            with pytest.raises(httpx2.RemoteProtocolError, match="without sending complete message body"):
                stream.read()
        assert psutil.wait_procs(family, END_TIMEOUT_S)[1] == []
        assert [answer.result() for answer in answers] == expected
    assert supervisor.server is not first
    client.close()
    gate.close()


def all_wait(url: str, num_requests: int) -> bool:
    """Whether so many are there besides the one that holds the model up."""
    row = httpx2.get(f"{url}/models").json()[MODEL]
    return bool(row["num_leases"] >= 1 + num_requests)
