"""nginx as it is shipped, in front of a gateway on a real socket."""

import asyncio
import json
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from hostler.config import Settings
from hostler.server.streaming import StreamTiming
from hostler.testing.model import FakeModel
from tests.deploy.nginx import free_port, gateway, nginx
from tests.server.test_openai import CHAT
from tests.server.test_streaming import until

STREAM = CHAT | {"stream": True, "max_tokens": 5}
CHAT_PATH = "/v1/chat/completions"
UPSTREAM = "server 127.0.0.1:8000;"
LISTEN = "listen 80;"
READ_TIMEOUT = "proxy_read_timeout 600s;"
TALKATIVE = StreamTiming(headers_after_s=0.0, comment_every_s=0.25)


class Steps:
    """Lets a fake model say one word at a time."""

    def __init__(self, model: FakeModel) -> None:
        self._model = model
        self._gate = model.token_gate = asyncio.Event()

    def next(self) -> None:
        passed, self._gate = self._gate, asyncio.Event()
        self._model.token_gate = self._gate
        self._model.num_free_words += 1
        passed.set()


@asynccontextmanager
async def proxied(
    folder: Path, upstream_port: int, changes: dict[str, str] | None = None, address: str = "127.0.0.1"
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of nginx that calls from an address of this machine."""
    port = free_port()
    to_here = {UPSTREAM: f"server 127.0.0.1:{upstream_port};", LISTEN: f"listen 127.0.0.1:{port};"}
    with nginx(folder, to_here | (changes or {})):
        async with client_at(f"http://127.0.0.1:{port}", address) as client:
            yield client


def client_at(url: str, address: str = "127.0.0.1") -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=url, transport=httpx2.AsyncHTTPTransport(local_address=address), timeout=120)


async def test_each_token_arrives_before_the_next_one_is_made(tmp_path: Path) -> None:
    async with gateway() as running, proxied(tmp_path, running.port) as client:
        steps = Steps(running.launcher.model("tiny-chat"))
        steps.next()
        words = []
        async with client.stream("POST", CHAT_PATH, json=STREAM) as response:
            assert "x-accel-buffering" not in response.headers  # it was for nginx
            assert response.headers["content-encoding"] == "gzip"
            async for line in response.aiter_lines():
                if '"content":"word' in line:
                    words.append(json.loads(line.removeprefix("data: "))["choices"][0]["delta"]["content"].strip())
                    steps.next()
        assert words == [f"word{i}" for i in range(5)]


async def test_a_client_that_hangs_up_ends_the_work_behind_the_proxy(tmp_path: Path) -> None:
    async with gateway() as running, proxied(tmp_path, running.port) as client:
        steps = Steps(running.launcher.model("tiny-chat"))
        steps.next()
        async with client.stream("POST", CHAT_PATH, json=STREAM) as response:
            await anext(line async for line in response.aiter_lines() if "word0" in line)
        await until(lambda: running.launcher.worker("tiny-chat").num_aborted == 1)


async def test_a_load_that_takes_longer_than_the_proxy_waits_is_kept_alive(tmp_path: Path) -> None:
    changes = {READ_TIMEOUT: "proxy_read_timeout 3s;"}
    async with gateway(TALKATIVE) as running, proxied(tmp_path, running.port, changes) as client:
        loaded = running.launcher.model("tiny-chat").load_gate = asyncio.Event()
        whole = asyncio.create_task(client.post(CHAT_PATH, json=CHAT))
        # What says nothing meanwhile is cut off, so that the time was in force.
        await expect_answer_after(8, client, loaded, until_cut=whole)
        cut = await whole
        assert (cut.status_code, cut.json()["code"]) == (504, "server_error")
        assert cut.json()["error"]["message"] == cut.json()["detail"]


@pytest.mark.long
async def test_a_load_that_takes_longer_than_nginx_waits_unless_told_is_not_cut(tmp_path: Path) -> None:
    async with gateway() as running, proxied(tmp_path, running.port) as client:
        loaded = running.launcher.model("tiny-chat").load_gate = asyncio.Event()
        whole = asyncio.create_task(client.post(CHAT_PATH, json=CHAT))
        await expect_answer_after(14, client, loaded)  # 70 seconds; nginx's own default is 60
        assert (await whole).status_code == 200


async def expect_answer_after(
    num_comments: int,
    client: httpx2.AsyncClient,
    loaded: asyncio.Event,
    *,
    until_cut: asyncio.Task[httpx2.Response] | None = None,
) -> None:
    """The load ends when a stream that waits for it has had so many comments, and another request its answer."""
    comments = 0
    async with client.stream("POST", CHAT_PATH, json=STREAM) as response:
        async for line in response.aiter_lines():
            comments += line.startswith(":")
            if comments >= num_comments and (until_cut is None or until_cut.done()):
                loaded.set()
    assert comments >= num_comments
    assert line == "" or line == "data: [DONE]"


LIMITED: dict[str, Any] = {"forwarded_allow_ips": ["127.0.0.1"], "address_requests_per_minute": 1}


async def test_limits_for_addresses_count_the_clients_address_whatever_it_claims(tmp_path: Path) -> None:
    async with gateway(**LIMITED) as running, proxied(tmp_path, running.port, address="127.0.0.2") as client:
        claims = {"x-forwarded-for": "127.0.0.9", "forwarded": "for=127.0.0.9", "x-real-ip": "127.0.0.9"}
        assert (await client.post(CHAT_PATH, json=CHAT)).status_code == 200
        assert (await client.post(CHAT_PATH, json=CHAT, headers=claims)).status_code == 429
        async with client_at(str(client.base_url), "127.0.0.3") as other:
            assert (await other.post(CHAT_PATH, json=CHAT, headers=claims)).status_code == 200


async def test_who_is_no_proxy_is_not_believed_about_its_address() -> None:
    async with gateway(**LIMITED) as running, client_at(f"http://127.0.0.1:{running.port}", "127.0.0.4") as client:
        statuses = [
            (await client.post(CHAT_PATH, json=CHAT, headers={"x-forwarded-for": claimed})).status_code
            for claimed in ("127.0.0.5", "127.0.0.6")
        ]
        assert statuses == [200, 429]


async def test_proxy_and_gateway_agree_about_bodies_that_are_too_large(tmp_path: Path) -> None:
    limit = Settings.model_fields["max_body_bytes"].default
    largest = json.dumps(CHAT).encode().ljust(limit)
    json_content = {"content-type": "application/json"}
    async with gateway() as running, proxied(tmp_path, running.port) as client:
        assert (await client.post(CHAT_PATH, content=largest, headers=json_content)).status_code == 200
        async with client_at(f"http://127.0.0.1:{running.port}") as direct:
            refusals = [
                await each.post(CHAT_PATH, content=largest + b" ", headers=json_content) for each in (client, direct)
            ]
    assert [refusal.status_code for refusal in refusals] == [413, 413]
    assert [refusal.json()["error"]["code"] for refusal in refusals] == ["request_too_large", "request_too_large"]


async def test_a_gateway_that_is_not_there_is_a_503_that_says_when_to_come_back(tmp_path: Path) -> None:
    async with proxied(tmp_path, free_port()) as client:
        answer = await client.get("/health")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["code"] == answer.json()["error"]["code"] == "server_error"


async def test_with_tls_requests_pass_and_those_in_the_clear_are_sent_there(tmp_path: Path) -> None:
    name = "models.example.com"
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    make_certificate(name, certificate, key)
    port, clear_port = free_port(), free_port()
    async with gateway(allowed_hosts=[name]) as running:
        changes = {
            UPSTREAM: f"server 127.0.0.1:{running.port};",
            LISTEN: f"listen 127.0.0.1:{clear_port};",
            "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
            f"/etc/letsencrypt/live/{name}/fullchain.pem": str(certificate),
            f"/etc/letsencrypt/live/{name}/privkey.pem": str(key),
        }
        with nginx(tmp_path, changes, "hostler-tls.conf"):
            trusting = ssl.create_default_context(cafile=str(certificate))
            head = f"GET /health HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode()
            secret = await answer_to(port, head, ssl=trusting, server_hostname=name)
            clear = await answer_to(clear_port, head)
    assert secret.startswith("HTTP/1.1 200 ")
    assert "Strict-Transport-Security: max-age=" in secret
    assert '"status":"healthy"' in secret
    assert clear.startswith("HTTP/1.1 308 ")
    assert f"Location: https://{name}/health" in clear


def make_certificate(name: str, certificate: Path, key: Path) -> None:
    program = shutil.which("openssl")
    assert program is not None, "openssl is needed: install Debian's package of that name"
    subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    command = [program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run([*command, *subject, "-out", certificate, "-keyout", key], check=True, capture_output=True)


async def answer_to(port: int, request: bytes, **options: Any) -> str:
    """All that comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **options)
    writer.write(request)
    await writer.drain()
    answer = (await reader.read()).decode()
    writer.close()
    return answer
