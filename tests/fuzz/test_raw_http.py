"""Bytes that are hardly HTTP, sent to a running gateway."""

import asyncio
import random
import re

import pytest

from tests.server.test_connection import GET, listening

_BODY = b'{"model": "tiny-chat", "messages": [{"role": "user", "content": "a"}], "max_tokens": 1}'
_JSON = b"Content-Type: application/json\r\n"
_POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n" + _JSON
_CHUNKED = _POST + b"Transfer-Encoding: chunked\r\n\r\n"
_WHOLE = _POST + b"Content-Length: %d\r\n\r\n" % len(_BODY) + _BODY
_CHUNK = b"%x\r\n" % len(_BODY) + _BODY + b"\r\n0\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_HURRIED_S = 0.2
_AT_ONCE = 50
_DAMAGE = (b"", b"\r\n", b"\n", b"\r", b"\0", b":", b" ", b"0\r\n\r\n", b"HTTP/1.1", b"Content-Length: 3\r\n")

MALFORMED = (
    b"\0" * 100,
    b"\r\n" * 1000 + GET + b"\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    b"GET /\x00\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET //localhost/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET http://other.example/health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /models/%2e%2e%2f%00%ff/info HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"GET /health HTTP/1.1\nHost: localhost\n\n",
    GET + b"Host: other.example\r\n\r\n",
    GET + b" folded: a\r\n\r\n",
    GET + b"no colon\r\n\r\n",
    GET + b"a\x00b: c\r\n\r\n",
    GET + b"X: a\rb\r\n\r\n",
    GET + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    _POST + b"Content-Length: -1\r\n\r\n" + _BODY,
    _POST + b"Content-Length: 99999999999999999999999\r\n\r\n" + _BODY,
    _POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n" + _BODY,
    _POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + _CHUNK,
    _POST + b"Content-Length: 3\r\n\r\n" + _BODY,
    _POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + _CHUNK,
    _POST + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00",
    _CHUNKED + b"zz\r\n" + _BODY,
    _CHUNKED + b"-5\r\n" + _BODY,
    _CHUNKED + b"ffffffffffffffffffff\r\n" + _BODY,
    _CHUNKED + b"5;" + b"x" * 5000 + b"\r\nab",
    _CHUNKED + b"1\r\n{\r\n0\r\nTrailer: " + b"a" * 70_000 + b"\r\n\r\n",
    _CHUNKED + b"2\r\n{}\r\n0\r\nContent-Length: 5\r\n\r\n",
    _WHOLE + b"GARBAGE\r\n\r\n",
)


async def answer_to(port: int, pieces: list[bytes]) -> bytes:
    """The beginning of what comes; nothing where the server closes without a word, as it does at `_HURRIED_S` with who
    sends no whole request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)  # so that each piece is read by itself
        return await reader.read(2**16)
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def check(port: int, pieces: list[bytes]) -> None:
    """Nothing comes, or a refusal or answer of a usual kind; never that the server has failed."""
    answer = await answer_to(port, pieces)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 "), (pieces, answer)
    assert all(int(status) < 500 for status in _STATUS.findall(answer)), (pieces, answer)


async def is_well(port: int) -> None:
    # On a busy machine this client may itself be too slow for such a server.
    for _ in range(5):
        if answer := await answer_to(port, [_WHOLE]):
            break
    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("num_bytes", [100_000, 7])
async def test_what_is_hardly_http_is_refused_and_the_next_request_answered(num_bytes: int) -> None:
    async with listening(read_timeout_s=_HURRIED_S) as (port, _):
        cut = [
            [sent[i : i + num_bytes] for i in range(0, min(len(sent), 100 * num_bytes), num_bytes)]
            for sent in MALFORMED
        ]
        await asyncio.gather(*(check(port, pieces) for pieces in cut))
        await is_well(port)


def _changed(rng: random.Random) -> list[bytes]:
    """A request with damage, in pieces."""
    content = bytearray(rng.choice((_WHOLE, _CHUNKED + _CHUNK, GET + b"\r\n", *MALFORMED)))
    for _ in range(rng.randint(1, 6)):
        start = rng.randint(0, len(content))
        end = min(len(content), start + rng.choice((0, 0, 1, 2, 20)))
        content[start:end] = rng.choice((*_DAMAGE, rng.randbytes(3), bytes(content[start:end]) * 2))
    cuts = sorted(rng.randint(0, len(content)) for _ in range(rng.randint(0, 4)))
    return [bytes(content[i:j]) for i, j in zip([0, *cuts], [*cuts, len(content)], strict=True)]


async def _send_changed(num_requests: int, seed: str) -> None:
    rng = random.Random(seed)
    async with listening(read_timeout_s=_HURRIED_S) as (port, _):
        for _ in range(num_requests // _AT_ONCE):
            await asyncio.gather(*(check(port, _changed(rng)) for _ in range(_AT_ONCE)))
            await is_well(port)


async def test_requests_with_random_damage_never_make_the_server_fail() -> None:
    await _send_changed(200, "quick")


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_thousands_of_requests_with_random_damage_never_make_the_server_fail() -> None:
    await _send_changed(20_000, "long")
