"""What a memory budget means on a real server, and what stays in memory when every model has left."""

import asyncio
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from tests.e2e.chaos.stable import write_registry
from tests.e2e.chaos.watch import Watch, living_workers, own_bytes, worker_pid
from tests.e2e.server_process import END_TIMEOUT_S, ServerProcess
from tests.tiny_models import build_tiny_model

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

ANNA, BERTA = "anna", "berta"
GATEWAY_BYTES = 150_000_000
NUM_SWITCHES = 4
CLIENTS_OF_EACH = 5
Start = Callable[..., ServerProcess]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models."""
    folder = tmp_path_factory.mktemp("budget")
    for number, model_id in enumerate((ANNA, BERTA)):
        build_tiny_model("gpt2", folder / model_id, seed=number)
    return folder


@pytest.fixture
def start(folder: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts servers with these settings; `pinned`: a model that is."""
    servers: list[ServerProcess] = []

    def start(*, pinned: str | None = None, **settings: object) -> ServerProcess:
        extra = {pinned: {"pinned": True}} if pinned else {}
        config = write_registry(folder / "models.yaml", settings, (ANNA, BERTA), extra=extra)
        servers.append(ServerProcess(config, tmp_path / "cache", tmp_path / f"stderr-{len(servers)}.log"))
        return servers[-1]

    yield start
    for server in servers:
        server.__exit__(None, None, None)


@pytest.fixture
def room_for_one(start: Start) -> int:
    """Bytes that are enough for either of the models and not for both."""
    server = start()
    needs = []
    for model_id in (ANNA, BERTA):
        assert ask(server, model_id).status_code == 200
        plan = httpx2.post(f"{server.url}/models/{model_id}/plan", timeout=END_TIMEOUT_S).raise_for_status().json()
        needs.append(int(plan["needs"]["host"]))
    server.__exit__(None, None, None)
    return max(needs) * 3 // 2


def ask(server: ServerProcess, model_id: str) -> httpx2.Response:
    return httpx2.post(f"{server.url}/v1/completions", json=body_for(model_id), timeout=END_TIMEOUT_S)


def body_for(model_id: str) -> dict[str, object]:
    return {"model": model_id, "prompt": "The hostler", "max_tokens": 3}


async def test_models_that_fit_one_at_a_time_take_turns_without_an_error(start: Start, room_for_one: int) -> None:
    server = start(memory_budget=room_for_one)
    with Watch(server) as watch:
        for _ in range(NUM_SWITCHES // 2):
            assert [ask(server, model_id).status_code for model_id in (ANNA, BERTA)] == [200, 200]
        async with httpx2.AsyncClient(base_url=server.url, timeout=END_TIMEOUT_S) as client:
            requests = [
                client.post("/v1/completions", json=body_for(model_id)) for model_id in (ANNA, BERTA) * CLIENTS_OF_EACH
            ]
            answers = await asyncio.gather(*requests)

    assert {answer.status_code for answer in answers} == {200}
    assert watch.most_workers == 1


def test_a_model_that_can_never_fit_is_refused_at_once_with_numbers(start: Start) -> None:
    server = start(memory_budget="20MiB")
    refused = ask(server, ANNA)

    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "model_too_large")
    assert refused.headers["x-should-retry"] == "false"
    message = refused.json()["error"]["message"]
    assert re.search(r"it needs on cpu \d+ MiB of host memory .*, and models may take 20 MiB of host memory", message)
    assert server.workers() == []


def test_a_pinned_model_stays_and_the_other_is_told_why_it_cannot_come(start: Start, room_for_one: int) -> None:
    server = start(memory_budget=room_for_one, pinned=ANNA)
    assert ask(server, ANNA).status_code == 200
    pid = worker_pid(server, ANNA)
    refused = ask(server, BERTA)

    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "model_too_large")
    assert f"a part of which is kept by {ANNA} (pinned)" in refused.json()["error"]["message"]
    assert [worker.pid for worker in living_workers(server)] == [pid]
    assert ask(server, ANNA).status_code == 200


def test_nothing_but_the_gateway_and_the_forkserver_stays_when_every_model_has_left(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    server = start()
    for model_id in (ANNA, BERTA):
        assert ask(server, model_id).status_code == 200
    httpx2.post(f"{server.url}/admin/unload-all", timeout=END_TIMEOUT_S).raise_for_status()

    gateway = server.process.memory_info().rss
    others = [own_bytes(process) for process in server.family()]
    with capsys.disabled():
        sys.stdout.write(
            f"\ngateway {gateway / 1e6:.0f} MB, {own_bytes(server.process) / 1e6:.0f} of its own; forkserver"
            f" {sum(others) / 1e6:.0f} of its own\n"
        )
    assert living_workers(server) == []
    assert gateway < GATEWAY_BYTES
