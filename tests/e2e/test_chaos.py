"""A real server with eight models while workers are killed, clients hang up, files change and signals come.

Each scene counts what became of its requests and shows the table. Invariants are asserted, times never are.
"""

import asyncio
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from tests.e2e.chaos.crowd import ANSWERED, HUNG_UP, NOT_ACCEPTED, Crowd, Visit, random_visits, stream_events
from tests.e2e.chaos.stable import build_stable, write_registry
from tests.e2e.chaos.watch import Watch, living_workers, logged_requests, new_worker, own_bytes, worker_pid
from tests.e2e.server_process import END_TIMEOUT_S, ServerProcess
from tests.tiny_models import FAMILIES

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

NUM_CLIENTS = 200
NUM_PLACES = 3
SEED = 20261122
LONG_ANSWER = 3000
"""Tokens: seconds of work, so that it still runs when something happens to its worker."""

Show = Callable[[str, Mapping[str, object]], None]
Start = Callable[..., ServerProcess]


@pytest.fixture(scope="module")
def stable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_stable(tmp_path_factory.mktemp("stable"))


@pytest.fixture
def start(stable: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts servers whose registry lies at `stable / "models.yaml"`, with the settings given."""
    servers: list[ServerProcess] = []

    def start(port: int = 0, **settings: object) -> ServerProcess:
        config = write_registry(stable / "models.yaml", settings)
        server = ServerProcess(config, tmp_path / "cache", tmp_path / f"stderr-{len(servers)}.log", port=port)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.__exit__(None, None, None)


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest) -> Show:
    def show(scene: str, figures: Mapping[str, object]) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{scene}\n" + "".join(f"  {name:<28} {figures[name]}\n" for name in figures))

    return show


def ask(server: ServerProcess, model_id: str) -> httpx2.Response:
    body = {"model": model_id, "prompt": "The hostler", "max_tokens": 3}
    return httpx2.post(f"{server.url}/v1/completions", json=body, timeout=END_TIMEOUT_S)


def unload_all(server: ServerProcess) -> list[str]:
    """It waits for every lease, so its answer says that there is none left."""
    answer = httpx2.post(f"{server.url}/admin/unload-all", timeout=END_TIMEOUT_S)
    assert answer.status_code == 200, answer.text
    unloaded: list[str] = answer.json()["unloaded_models"]
    return unloaded


def held(server: ServerProcess) -> dict[str, int]:
    """By model: leases and those who wait for one, as soon as none is left, or as they are in the end."""
    deadline = time.monotonic() + END_TIMEOUT_S
    while True:
        healths = {model_id: httpx2.get(f"{server.url}/models/{model_id}/health").json() for model_id in FAMILIES}
        counts = {model_id: health["num_leases"] + health["num_waiting"] for model_id, health in healths.items()}
        if not any(counts.values()) or time.monotonic() > deadline:
            return counts


def load(server: ServerProcess, *model_ids: str) -> None:
    for model_id in model_ids:
        httpx2.post(f"{server.url}/models/{model_id}/load", timeout=END_TIMEOUT_S).raise_for_status()


def long_stream(model_id: str, *, is_native: bool) -> Visit:
    return Visit(model_id, is_native, is_streamed=True, num_tokens=LONG_ANSWER)


class Stream:
    """One streamed answer, read in the background."""

    def __init__(self, client: httpx2.AsyncClient, visit: Visit) -> None:
        self.visit = visit
        self.events: list[dict[str, Any]] = []
        self.has_begun = asyncio.Event()
        self._reading = asyncio.create_task(self._read(client))

    async def _read(self, client: httpx2.AsyncClient) -> None:
        async for event in stream_events(client, self.visit):
            self.events.append(event)
            self.has_begun.set()

    async def last_event(self) -> dict[str, Any]:
        """When the stream has ended."""
        await self._reading
        return self.events[-1]


async def test_a_killed_worker_ends_its_own_streams_with_a_retryable_error(start: Start, show: Show) -> None:
    server = start(max_concurrent_models=NUM_PLACES)
    load(server, "llama", "gpt_neox")
    async with httpx2.AsyncClient(base_url=server.url, timeout=END_TIMEOUT_S) as client:
        dying = [Stream(client, long_stream("llama", is_native=is_native)) for is_native in (True, False, True, False)]
        others = [Stream(client, Visit("gpt_neox", is_native, True, 500)) for is_native in (False, False)]
        for stream in (*dying, *others):
            await stream.has_begun.wait()
        psutil.Process(worker_pid(server, "llama")).kill()
        ends = [await stream.last_event() for stream in dying]
        ends_of_others = [await stream.last_event() for stream in others]

    codes = Counter(end["error"]["code"] for end in ends)
    reasons = Counter(end["choices"][0]["finish_reason"] for end in ends_of_others)
    show("killed in mid-stream", {"its streams": dict(codes), "streams of others": dict(reasons)})
    assert codes == {"engine_dead": len(dying)}
    assert reasons == {"length": len(others)}
    assert ask(server, "llama").status_code == 200
    assert worker_pid(server, "gpt_neox") in [worker.pid for worker in living_workers(server)]


async def test_a_worker_killed_in_mid_load_costs_its_waiters_an_error_and_the_model_a_pause(
    start: Start, show: Show
) -> None:
    server = start(max_concurrent_models=NUM_PLACES)
    load(server, "gpt2")
    crowd = Crowd(server.url)
    visits = [Visit("bloom", is_native, is_streamed, 5) for is_native in (True, False) for is_streamed in (True, False)]
    waiting = asyncio.create_task(crowd.run(visits))
    loading = await asyncio.to_thread(new_worker, server, {worker_pid(server, "gpt2")})
    loading.kill()
    ends = dict(await waiting)
    refused = ask(server, "bloom")

    assert ends == {"model_load_failed": len(visits)}
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_load_failed")
    retry_after_s = int(refused.headers["retry-after"])
    assert 1 <= retry_after_s <= 10
    assert "x-should-retry" not in refused.headers
    assert ask(server, "gpt2").status_code == 200
    load(server, "bloom")
    assert ask(server, "bloom").status_code == 200
    show("killed in mid-load", {"its waiters": ends, "then, for seconds": retry_after_s, "POST load": "at once"})


@pytest.mark.parametrize("limit", ["max_concurrent_models", "memory_budget"])
async def test_a_crowd_that_comes_and_goes_gets_its_answers_and_leaves_nothing(
    start: Start, show: Show, limit: str
) -> None:
    settings: dict[str, object] = {"max_concurrent_models": NUM_PLACES}
    if limit == "memory_budget":
        settings = {"max_concurrent_models": len(FAMILIES), "memory_budget": room_for(NUM_PLACES, start)}
    server = start(**settings)
    load(server, "gpt2")
    # The first crowd brings the gateway to its size: modules, threads, buffers for so many connections.
    await Crowd(server.url).run(random_visits(FAMILIES, NUM_CLIENTS, SEED - 1, spread_s=3.0))
    unload_all(server)
    before = own_bytes(server.process)
    earlier = logged_requests(server)
    crowd = Crowd(server.url)
    visits = random_visits(FAMILIES, NUM_CLIENTS, SEED, spread_s=3.0)
    began = time.monotonic()
    with Watch(server) as watch:
        await crowd.run(visits)
        seconds = time.monotonic() - began
        holds = held(server)
        unloaded = unload_all(server)
    after = own_bytes(server.process)
    logged = logged_requests(server) - earlier

    show(
        f"{NUM_CLIENTS} clients, {len(FAMILIES)} models, {limit} for {NUM_PLACES}",
        {
            "requests": len(visits),
            **crowd.ends,
            "as the server logged them": dict(logged),
            "seconds": round(seconds, 1),
            "most workers at once": f"{watch.most_workers} of {watch.num_samples} samples",
            "in memory at the end": len(unloaded),
            "leases and waiters left": sum(holds.values()),
            "gateway, MB of its own": f"{before / 1e6:.1f} before, {after / 1e6:.1f} after",
            "/health": watch.health,
        },
    )
    stayed = sum(visit.patience_s is None for visit in visits)
    assert crowd.ends.total() == len(visits)
    assert crowd.lost == {}
    assert set(crowd.ends) <= {ANSWERED, HUNG_UP}
    assert crowd.ends[ANSWERED] >= stayed
    assert crowd.ends[ANSWERED] <= logged["200 -"] <= logged.total() <= len(visits)
    assert set(holds.values()) == {0}
    assert watch.most_workers <= NUM_PLACES
    assert watch.health["num_failed"] == 0
    assert living_workers(server) == []
    assert after <= before * 1.05


def room_for(num_models: int, start: Start) -> int:
    """A budget in bytes that has room for so many of the models and no more, whichever they are."""
    server = start(max_concurrent_models=len(FAMILIES))
    load(server, *FAMILIES)
    unload_all(server)
    needs = []
    for model_id in FAMILIES:
        plan = httpx2.post(f"{server.url}/models/{model_id}/plan", timeout=END_TIMEOUT_S).raise_for_status().json()
        needs.append(int(plan["needs"]["host"]))
    # What is measured differs a little from load to load.
    budget = max(needs) * (3 * num_models + 1) // 3
    assert budget < min(needs) * (num_models + 1), needs
    return budget


async def test_a_reload_amid_the_crowd_touches_only_what_has_changed(start: Start, show: Show, stable: Path) -> None:
    server = start(max_concurrent_models=len(FAMILIES) + 1)
    load(server, *FAMILIES)
    pids = {model_id: worker_pid(server, model_id) for model_id in FAMILIES}
    kept = [model_id for model_id in FAMILIES if model_id not in ("opt", "t5")]
    crowd = Crowd(server.url)
    running = asyncio.create_task(crowd.run(random_visits(FAMILIES, NUM_CLIENTS, SEED, spread_s=4.0)))
    await crowd.until(NUM_CLIENTS // 4)
    write_registry(
        stable / "models.yaml",
        {"max_concurrent_models": len(FAMILIES) + 1},
        [*kept, "t5", "newcomer"],
        extra={"newcomer": {"folder": "gpt2"}, "t5": {"max_num_seqs": 4}},
    )
    async with httpx2.AsyncClient(base_url=server.url, timeout=END_TIMEOUT_S) as client:
        change = (await client.post("/admin/reload-config")).raise_for_status().json()
    await running

    assert ask(server, "newcomer").status_code == 200
    assert ask(server, "t5").status_code == 200
    after = {model_id: worker_pid(server, model_id) for model_id in FAMILIES}
    show(
        f"a reload amid {NUM_CLIENTS} clients",
        {**{key: change[key] for key in ("added", "removed", "changed")}, **crowd.ends},
    )
    assert (change["added"], change["removed"], change["changed"]) == (["newcomer"], ["opt"], ["t5"])
    assert crowd.lost == {}
    assert set(crowd.ends) <= {ANSWERED, HUNG_UP, "model_not_found"}
    assert {model_id: after[model_id] for model_id in kept} == {model_id: pids[model_id] for model_id in kept}
    assert after["t5"] != pids["t5"]
    assert not psutil.pid_exists(pids["opt"])


async def test_sigterm_amid_the_crowd_leaves_no_client_without_an_end_and_no_process(start: Start, show: Show) -> None:
    server = start(max_concurrent_models=NUM_PLACES, shutdown_grace_s=5)
    load(server, "gpt2")
    crowd = Crowd(server.url)
    running = asyncio.create_task(crowd.run(random_visits(FAMILIES, NUM_CLIENTS, SEED, spread_s=2.0)))
    await crowd.until(NUM_CLIENTS // 4)
    family = server.family()
    server.process.send_signal(signal.SIGTERM)
    await running

    status = await asyncio.to_thread(server.process.wait, END_TIMEOUT_S)
    orphans = psutil.wait_procs(family, END_TIMEOUT_S)[1]
    show("SIGTERM amid the crowd", {**crowd.ends, "exit status": status, "processes left": len(orphans)})
    assert status == 0
    assert orphans == []
    assert crowd.ends.total() == NUM_CLIENTS
    assert crowd.lost == {}
    assert set(crowd.ends) <= {ANSWERED, HUNG_UP, NOT_ACCEPTED, "shutting_down", "model_unloaded"}


async def test_a_killed_gateway_leaves_no_orphan_and_its_port_to_the_next(start: Start, show: Show) -> None:
    server = start(max_concurrent_models=NUM_PLACES)
    load(server, "llama", "gpt2")
    async with httpx2.AsyncClient(base_url=server.url, timeout=END_TIMEOUT_S) as client:
        stream = Stream(client, long_stream("llama", is_native=True))
        await stream.has_begun.wait()
        family = server.family()
        server.process.kill()
        with pytest.raises(httpx2.TransportError):
            await stream.last_event()
    server.process.wait(END_TIMEOUT_S)
    orphans = psutil.wait_procs(family, END_TIMEOUT_S)[1]

    port = int(server.url.rpartition(":")[2])
    successor = start(port=port, max_concurrent_models=NUM_PLACES)
    show("kill -9 of the gateway", {"processes it had": len(family), "left": len(orphans), "next on": successor.url})
    assert orphans == []
    assert successor.url == server.url
    assert ask(successor, "llama").status_code == 200
