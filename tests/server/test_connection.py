"""Clients that do not do their part, on real sockets."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from hostler.config import Settings
from hostler.gateway_server import uvicorn_config
from hostler.server.connection import MAX_HEAD_BYTES
from hostler.testing.worker import FakeLauncher
from tests.server.conftest import make_app
from tests.server.test_openai import CHAT
from tests.server.test_streaming import StartedServer, post, until

CLOSING = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"


@asynccontextmanager
async def listening(**settings: Any) -> AsyncIterator[tuple[int, FakeLauncher]]:
    launcher = FakeLauncher()
    config = Settings(**settings)
    app, _ = make_app(launcher, config)
    server = StartedServer(uvicorn_config(app, config))
    with socket.socket() as listener:
        # Small buffers, so that a client that takes nothing is noticed soon.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await server.is_listening.wait()
        try:
            yield listener.getsockname()[1], launcher
        finally:
            server.should_exit = True
            await serving


async def answer_to(port: int, *pieces: bytes) -> bytes:
    """All that comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize("sent", [b"", b"GET /hea", GET, GET + b"Content-Length: 5\r\n\r\nab"])
async def test_who_sends_no_whole_request_is_cut_off(sent: bytes) -> None:
    async with listening(read_timeout_s=0.05) as (port, _):
        if b"Content-Length" in sent:
            sent = sent.replace(b"GET /health", b"POST /v1/completions").replace(
                b"Content-Length", b"Content-Type: application/json\r\nContent-Length"
            )
        assert await answer_to(port, sent) == b""


async def test_who_has_sent_its_request_may_wait_as_long_as_it_takes() -> None:
    async with listening(read_timeout_s=0.05) as (port, launcher):
        gate = launcher.model("tiny-chat").load_gate = asyncio.Event()
        reader, writer = await post(port, "/v1/chat/completions", CHAT)
        assert await answer_to(port, b"GET") == b""  # longer than the time
        gate.set()
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_a_second_request_on_a_connection_has_the_time_of_the_first() -> None:
    async with listening(read_timeout_s=0.1) as (port, _):
        answer = await answer_to(port, GET + b"\r\n" + GET)
        assert answer.count(b"HTTP/1.1 200") == 1


async def test_a_reader_that_stops_is_cut_off_and_its_request_ended() -> None:
    async with listening(write_timeout_s=0.05) as (port, launcher):
        model = launcher.model("tiny-chat")
        model.answer = " ".join(["word" * 2000] * 900)
        with socket.socket() as reading:
            reading.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reading.setblocking(False)
            await asyncio.get_running_loop().sock_connect(reading, ("127.0.0.1", port))
            content = json.dumps(CHAT | {"stream": True, "max_tokens": 900}).encode()
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n"
            request = f"{head}Content-Type: application/json\r\n\r\n".encode() + content
            await asyncio.get_running_loop().sock_sendall(reading, request)
            await until(lambda: bool(launcher.workers) and launcher.worker("tiny-chat").num_aborted == 1)


@pytest.mark.parametrize(
    "head",
    [
        GET + b"X-Long: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n",
        GET + b"X: a\r\n" * (MAX_HEAD_BYTES // 2) + b"\r\n",
        b"GET /health?" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
async def test_a_head_that_is_too_large_is_refused(head: bytes) -> None:
    async with listening() as (port, _):
        answer = await answer_to(port, head)
        assert answer.startswith(b"HTTP/1.1 431 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "request_too_large"


async def test_a_header_without_an_end_is_refused_before_it_is_there() -> None:
    # Nothing but the bound ends the connection within an hour. What is sent beyond it may reset the answer away.
    async with listening(read_timeout_s=3600) as (port, _), asyncio.timeout(60):
        answer = await answer_to(port, GET + b"X-Long: ", *[b"a" * 8192] * 100)
        assert answer.startswith(b"HTTP/1.1 431 ") or not answer


async def test_a_head_of_usual_size_and_a_large_body_pass() -> None:
    async with listening() as (port, _):
        reader, writer = await post(port, "/v1/chat/completions", CHAT | {"user": "a" * 200_000, "x": "é"})
        assert (await reader.readline()).startswith(b"HTTP/1.1 400")
        writer.close()


async def test_a_connection_too_many_is_told_so_and_finds_room_when_one_has_closed() -> None:
    async with listening(max_connections=1) as (port, _):
        _, idle = await asyncio.open_connection("127.0.0.1", port)
        answer = await answer_to(port, GET + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 429 ")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"retry-after: 1" in head
        assert json.loads(body)["code"] == "rate_limit_exceeded"
        assert "max_connections" in json.loads(body)["detail"]
        idle.close()
        await idle.wait_closed()
        while not (answer := await answer_to(port, CLOSING)).startswith(b"HTTP/1.1 200 "):
            assert answer.startswith(b"HTTP/1.1 429 ")


async def test_one_address_has_its_own_bound() -> None:
    async with listening(max_connections_per_address=1) as (port, _):
        _, idle = await asyncio.open_connection("127.0.0.1", port)
        assert b"max_connections_per_address" in await answer_to(port, GET + b"\r\n")
        idle.close()


async def test_who_says_nothing_and_is_one_too_many_is_cut_off() -> None:
    async with listening(max_connections=1, read_timeout_s=0.05) as (port, _):
        _, first = await asyncio.open_connection("127.0.0.1", port)
        assert await answer_to(port) == b""
        first.close()


async def test_however_many_are_too_many_the_server_goes_on() -> None:
    async with listening(max_connections=5) as (port, _):
        flood = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
        assert not await answer_to(port, GET + b"\r\n")  # beyond those that are told
        for _, writer in flood:
            writer.close()
        while not (await answer_to(port, CLOSING)).startswith(b"HTTP/1.1 200 "):
            pass
