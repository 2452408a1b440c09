"""What a hostile client may send to a real server: each is refused at once, and nobody else is held up meanwhile."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
import yaml

from tests.e2e.server_process import END_TIMEOUT_S, ServerProcess
from tests.tiny_models import build_tiny_model

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]

MODEL = "tiny"
LOOPING = "looping"
PATIENCE_S = 15.0
"""Ten times what anything here takes on a machine that does nothing else; some of it once took a minute."""
MAX_ECHO_BYTES = 1024
MEGABYTE = 2**20


@pytest.fixture(scope="module")
def server(hostler_cache_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("bad-input")
    build_tiny_model("gpt2", folder / MODEL)
    shutil.copytree(folder / MODEL, folder / LOOPING)
    config = folder / LOOPING / "tokenizer_config.json"
    template = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"chat_template": template}))
    entry = {"type": "text", "size": "1M", "description": "Random weights", "max_length": 128}
    models = {name: {"name": f"tests/{name}", **entry, "source": {"folder": name}} for name in (MODEL, LOOPING)}
    (folder / "models.yaml").write_text(yaml.safe_dump({"models": models}))
    with ServerProcess(folder / "models.yaml", hostler_cache_dir, folder / "stderr.log") as server:
        for name in models:
            httpx2.post(f"{server.url}/models/{name}/load", timeout=END_TIMEOUT_S).raise_for_status()
        yield server


@asynccontextmanager
async def undisturbed(server: ServerProcess) -> AsyncIterator[httpx2.AsyncClient]:
    """Meanwhile `/health` answers, and streams come to their end, each in time."""
    asked = {"model": MODEL, "prompt": "Once", "max_tokens": 20, "ignore_eos": True, "stream": True}

    async def look() -> None:
        async with asyncio.timeout(PATIENCE_S):
            assert (await client.get("/health")).status_code == 200

    async def stream() -> None:
        async with asyncio.timeout(PATIENCE_S):
            response = await client.post("/v1/completions", json=asked)
            assert response.text.endswith("data: [DONE]\n\n")

    async def repeat(what: Any, until: asyncio.Event) -> None:
        await what()
        while not until.is_set():
            await what()

    over = asyncio.Event()
    async with httpx2.AsyncClient(base_url=server.url, timeout=END_TIMEOUT_S) as client:
        others = [asyncio.create_task(repeat(what, over)) for what in (look, stream)]
        try:
            yield client
        finally:
            over.set()
            await asyncio.gather(*others)


def completion(**fields: Any) -> bytes:
    return json.dumps({"model": MODEL, "prompt": "a", "max_tokens": 2} | fields).encode()


def chat(messages: object, model: str = MODEL) -> bytes:
    return json.dumps({"model": model, "messages": messages}).encode()


WITH = b'{"model":"tiny","prompt":"a",'
TURN = {"role": "user", "content": "a"}
BODIES: dict[str, bytes] = {
    "nan": WITH + b'"temperature":NaN}',
    "infinity": WITH + b'"temperature":Infinity}',
    "minus infinity": WITH + b'"temperature":-Infinity}',
    "beyond a double": WITH + b'"temperature":1e999}',
    "five thousand digits": WITH + b'"seed":' + b"9" * 5000 + b"}",
    "negative n": completion(n=-1),
    "negative max_tokens": completion(max_tokens=-1),
    "huge n": completion(n=10**30),
    "huge max_tokens": completion(max_tokens=10**30),
    "max_tokens beyond the context": completion(max_tokens=2**31 - 1),
    "huge best_of": completion(best_of=10**9),
    "huge logprobs": completion(logprobs=10**9),
    "many stops": completion(stop=["x"] * 10_000),
    "a long stop": completion(stop="x" * MEGABYTE),
    "deep": b"[" * 10**6 + b"]" * 10**6,
    "deep and open": b"[" * 10**6,
    "a key twice, then wrong": b'{"model":"tiny","prompt":"a","prompt":7}',
    "invalid utf-8": b'{"model":"tiny","prompt":"\xff\xfe"}',
    "half a surrogate": b'{"model":"tiny","prompt":"\\ud800"}',
    "utf-16": completion().decode().encode("utf-16"),
    "nothing": b"",
    "no object": b"null",
    "a long name": completion(model="x" * MEGABYTE),
    "a long unknown field": completion(**{"x" * MEGABYTE: 1}),
    "many unknown fields": completion(**{f"x{i}": 1 for i in range(300_000)}),
    "a long text": completion(prompt="a" * 7 * MEGABYTE),
    "a long text of words": completion(prompt="horse " * MEGABYTE),
    "more than eight megabytes": completion(prompt="a" * 10 * MEGABYTE),
    "many token ids": completion(prompt=[1] * 10**6),
    "a token id outside the vocabulary": completion(prompt=[2**31 - 1]),
    "many lists of token ids": completion(prompt=[[1]] * 10**6),
    "very many messages": chat([TURN] * 100_000),
    "many messages": chat([TURN] * 4096),
    "a long message": chat([{"role": "user", "content": "horse " * MEGABYTE}]),
    "many parts": chat([{"role": "user", "content": [{}] * 10**6}]),
    "a template that loops": chat([TURN], LOOPING),
}


@pytest.mark.parametrize("name", BODIES)
async def test_it_is_refused_at_once_and_hurts_nobody(name: str, server: ServerProcess) -> None:
    content = BODIES[name]
    path = "/v1/chat/completions" if b'"messages"' in content[:100] else "/v1/completions"
    async with undisturbed(server) as client, asyncio.timeout(PATIENCE_S):
        response = await client.post(path, content=content, headers={"content-type": "application/json"})
    assert 400 <= response.status_code < 500
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}
    assert len(response.content) <= MAX_ECHO_BYTES


@pytest.mark.parametrize(
    "head", ["Content-Length: 100000000\r\n", "Transfer-Encoding: chunked\r\n"], ids=["announced", "chunked"]
)
async def test_a_body_of_a_hundred_megabytes_is_refused_before_it_is_read(head: str, server: ServerProcess) -> None:
    address = urlsplit(server.url)
    async with undisturbed(server), asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        start = f"POST /v1/completions HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/json\r\n"
        writer.write(f"{start}{head}\r\n".encode())
        # Twelve megabytes, and then nothing more: enough where the length is not announced, and never read where it is.
        for _ in range(12 if "chunked" in head else 0):
            writer.write(b"100000\r\n" + b" " * MEGABYTE + b"\r\n")
        assert b" 413 " in await reader.readline()
        writer.close()


async def test_what_follows_is_answered_as_ever(server: ServerProcess) -> None:
    async with undisturbed(server) as client:
        response = await client.post(
            "/v1/completions", content=completion(), headers={"content-type": "application/json"}
        )
    assert response.status_code == 200
    health = (await asyncio.to_thread(httpx2.get, f"{server.url}/models/{MODEL}/health")).json()
    assert (health["num_leases"], health["num_waiting"]) == (0, 0)
    assert "Traceback" not in server.log.read_text()
