"""Clients that hang up on a real server, at each moment of a request: the lease goes, the work ends within one step."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
import yaml

from tests.e2e.server_process import END_TIMEOUT_S, ServerProcess
from tests.worker.obedience import Gate, build_obedient_model
from tests.worker.obedient_gpt2 import WAIT

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]

HESITANT = "hesitant"
"""Waits at its gate while it is loaded."""
OBEDIENT = "obedient"
"""Works on one sequence at a time, in pieces of 16 tokens, and waits at each token that says so."""
HARMLESS = [40, 41, 42]
IN_TWO_PIECES = [WAIT, *([40] * 20), WAIT, *([40] * 5)]
ALWAYS_WAIT = {str(WAIT): 100}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hang-ups")
    build_obedient_model(folder / OBEDIENT)
    build_obedient_model(folder / HESITANT, at_load=[WAIT])
    entry = {"type": "text", "size": "1M", "description": "Obeys", "max_length": 4200, "trust_remote_code": True}
    narrow = {"max_num_seqs": 1, "max_num_batched_tokens": 16, "reuse_prefixes": False}
    models = {
        OBEDIENT: {"name": f"tests/{OBEDIENT}", **entry, **narrow, "source": {"folder": OBEDIENT}},
        HESITANT: {"name": f"tests/{HESITANT}", **entry, "source": {"folder": HESITANT}},
    }
    (folder / "models.yaml").write_text(yaml.safe_dump({"models": models}))
    return folder


@pytest.fixture(scope="module")
def server(folder: Path, hostler_cache_dir: Path) -> Iterator[ServerProcess]:
    environment = {"HF_MODULES_CACHE": str(folder / "modules")}
    with ServerProcess(folder / "models.yaml", hostler_cache_dir, folder / "stderr.log", environment) as server:
        yield server


@pytest.fixture
async def client(server: ServerProcess) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=server.url, timeout=END_TIMEOUT_S) as client:
        yield client


@pytest.fixture
def gate(folder: Path) -> Iterator[Gate]:
    gate = Gate(folder / OBEDIENT)
    yield gate
    gate.close()


@asynccontextmanager
async def caller(server: ServerProcess, model_id: str, prompt: list[int], **fields: Any) -> AsyncIterator[None]:
    """A request that is on its way; leaving the `with` hangs up."""
    address = urlsplit(server.url)
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    content = json.dumps({"model": model_id, "prompt": prompt, "temperature": 0, "max_tokens": 9, **fields}).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
    await writer.drain()
    try:
        yield
    finally:
        writer.close()
        await writer.wait_closed()


async def until(client: httpx2.AsyncClient, model_id: str, is_so: Callable[[dict[str, Any]], bool]) -> None:
    """Ask how a model is until it is so."""
    async with asyncio.timeout(END_TIMEOUT_S):
        while not is_so((await client.get(f"/models/{model_id}/health")).json()):
            pass


async def complete(client: httpx2.AsyncClient, model_id: str) -> None:
    """An answer to somebody else, for which all steps that were due before have been made."""
    body = {"model": model_id, "prompt": HARMLESS, "max_tokens": 1}
    assert (await client.post("/v1/completions", json=body)).status_code == 200


async def be_read(client: httpx2.AsyncClient) -> None:
    """Return when the worker has read all that was sent to it so far: it reads in order, also while a step is made."""
    assert (await client.post(f"/models/{OBEDIENT}/tokenize", json={"prompt": "a"})).status_code == 200


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_while_its_model_loads(
    is_streamed: bool, server: ServerProcess, client: httpx2.AsyncClient, folder: Path
) -> None:
    gate = Gate(folder / HESITANT)
    # Were it still wanted, the request would wait at the gate too, and the load of the next one never end.
    async with caller(server, HESITANT, [WAIT], stream=is_streamed):
        await gate.begun()
        await until(client, HESITANT, lambda health: bool(health["num_waiting"] == 1))
    await until(client, HESITANT, lambda health: bool(health["num_waiting"] == 0))
    gate.go()
    await until(client, HESITANT, lambda health: bool(health["state"] == "ready"))
    await complete(client, HESITANT)
    assert not gate.has_begun()
    gate.close()
    assert (await client.post(f"/models/{HESITANT}/unload")).status_code == 200


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_while_it_is_queued(
    is_streamed: bool, server: ServerProcess, client: httpx2.AsyncClient, gate: Gate
) -> None:
    async with caller(server, OBEDIENT, [WAIT], max_tokens=1):
        await gate.begun()
        async with caller(server, OBEDIENT, [WAIT], stream=is_streamed):
            await until(client, OBEDIENT, lambda health: bool(health["num_leases"] == 2))
        await until(client, OBEDIENT, lambda health: bool(health["num_leases"] == 1))
        gate.go()
        await until(client, OBEDIENT, lambda health: bool(health["num_leases"] == 0))
    await complete(client, OBEDIENT)
    assert not gate.has_begun()


COMPUTED = pytest.mark.parametrize(
    ("prompt", "fields"),
    [(IN_TWO_PIECES, {}), (HARMLESS, {"logit_bias": ALWAYS_WAIT})],
    ids=["during_prefill", "during_its_answer"],
)


@COMPUTED
async def test_who_stays_is_computed_further(
    prompt: list[int], fields: dict[str, Any], server: ServerProcess, client: httpx2.AsyncClient, gate: Gate
) -> None:
    async with caller(server, OBEDIENT, prompt, **fields):
        await gate.step()
        await gate.begun()
    await until(client, OBEDIENT, lambda health: bool(health["num_leases"] == 0))
    await be_read(client)
    gate.go()


@pytest.mark.parametrize("is_streamed", [False, True])
@COMPUTED
async def test_while_it_is_computed(
    prompt: list[int],
    fields: dict[str, Any],
    is_streamed: bool,
    server: ServerProcess,
    client: httpx2.AsyncClient,
    gate: Gate,
) -> None:
    async with caller(server, OBEDIENT, prompt, stream=is_streamed, **fields):
        await gate.begun()
    await until(client, OBEDIENT, lambda health: bool(health["num_leases"] == 0))
    await be_read(client)
    gate.go()
    await complete(client, OBEDIENT)
    assert not gate.has_begun()


def test_nothing_of_it_was_an_error(server: ServerProcess) -> None:
    log = server.log.read_text()
    assert "status=499" in log
    assert "ERROR" not in log
