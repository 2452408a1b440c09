"""Lines and headers of requests, given to the whole application: keys, names, deadlines, traces, paths."""

import asyncio
from collections.abc import Coroutine
from functools import cache
from typing import Any

from fastapi import FastAPI
from opentelemetry.sdk.trace import TracerProvider
from starlette.types import Message, Scope

from hostler.config import Settings
from hostler.telemetry.tracing import RequestTracer
from hostler.testing.worker import FakeLauncher
from tests.fuzz.target import Target
from tests.server.conftest import make_app

KEY = "k" * 20
_SEEDS = (
    b"GET /models?x=1",
    b"GET /models\nauthorization: Bearer " + KEY.encode(),
    b"GET /v1/models/tiny-chat\nx-api-key: " + KEY.encode() + b"\nx-request-deadline-ms: 5000\nx-request-id: a",
    b"GET /health\norigin: http://localhost\nuser-agent: a",
    b"GET /models/owner%2Fname/info\ntraceparent: 00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01\ntracestate: a=b",
    b"POST /generate\ncontent-type: application/json\ncontent-length: 2\nx-api-key: " + KEY.encode(),
    b"OPTIONS /v1/models\norigin: http://a.example\naccess-control-request-method: GET",
    b"GET /events?limit=5&after=3\nlast-event-id: 4\nx-api-key: " + KEY.encode(),
)
_WORDS = (
    *(
        "authorization: ",
        "Bearer ",
        KEY,
        "x-api-key: ",
        "host: ",
        "origin: ",
        "x-request-deadline-ms: ",
        "content-type: ",
    ),
    *("traceparent: ", "content-length: ", "last-event-id: ", "[::1]", "127.0.0.1", "localhost:80", "..", "%2f", "%00"),
    *(
        "/models",
        "/v1/models",
        "/playground/",
        "/docs/assets/",
        "/health/",
        "/metrics",
        "POST ",
        "HEAD ",
        "999999999999999999",
    ),
)


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def _finish(work: Coroutine[Any, Any, int]) -> int:
    return _loop().run_until_complete(work)


@cache
def _app() -> FastAPI:
    settings = Settings(api_key=KEY, cors_origins=["http://a.example"])
    app, _ = make_app(FakeLauncher(), settings, tracer=RequestTracer(TracerProvider()))
    return app


def _scope_of(data: bytes) -> Scope:
    line, *lines = data.split(b"\n")
    method, _, target = line.partition(b" ")
    path, _, query = target.partition(b"?")
    pairs = [header.partition(b":")[::2] for header in lines]
    headers = [(name.strip().lower(), value.strip()) for name, value in pairs if name.strip()]
    if not any(name == b"host" for name, _ in headers):
        headers.append((b"host", b"localhost"))
    return {
        **{"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "root_path": ""},
        **{"method": method.decode("latin-1"), "path": path.decode("utf-8", "replace"), "raw_path": path},
        **{
            "query_string": query,
            "headers": headers,
            "client": ("127.0.0.1", 5),
            "server": ("127.0.0.1", 80),
            "state": {},
        },
    }


async def _status_of(scope: Scope) -> int:
    """Of the answer; the application is told that its client has left once it waits for more than the request."""
    status = 0
    has_come = False

    async def receive() -> Message:
        nonlocal has_come
        if has_come:
            return {"type": "http.disconnect"}
        has_come = True
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            assert all(b"\n" not in value and b"\r" not in value for _, value in message["headers"])

    await _app()(scope, receive, send)
    return status


def _parse(data: bytes) -> None:
    status = _finish(_status_of(_scope_of(data)))
    # 0: a stream has lost its client. 503: it is not started, and so has no model. 504: the deadline has passed.
    assert status in (0, 503, 504) or 200 <= status < 500, status


TARGETS = (Target("heads", _parse, _SEEDS, (), _WORDS),)
