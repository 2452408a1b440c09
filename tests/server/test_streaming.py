import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
import uvicorn

from hostler.config import Settings
from hostler.errors import EngineRequestError, ModelLoadError
from hostler.lifecycle.events import NoteKind
from hostler.lifecycle.manager import ModelManager
from hostler.server.streaming import StreamTiming
from hostler.testing.worker import FakeLauncher
from hostler.types import LoadProgress, ModelState
from tests.server.conftest import make_app, serving
from tests.server.test_openai import CHAT, events

CHAT_PATH = "/v1/chat/completions"
AT_ONCE = StreamTiming(headers_after_s=0.0, comment_every_s=0.001)


async def until(is_true: Callable[[], bool]) -> None:
    """Let everything else run until a condition holds; the test's own time limit ends it otherwise."""
    while not is_true():  # noqa: ASYNC110 - these are states of the manager and of sockets, which set no event
        await asyncio.sleep(0)


def strings_in(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict | list):
        for part in content.values() if isinstance(content, dict) else content:
            yield from strings_in(part)


class StartedServer(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_listening = asyncio.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.is_listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield

    @property
    def port(self) -> int:
        port: int = self.servers[0].sockets[0].getsockname()[1]
        return port


@asynccontextmanager
async def listening(timing: StreamTiming | None = None) -> AsyncIterator[tuple[int, FakeLauncher, ModelManager]]:
    launcher = FakeLauncher()
    app, manager = make_app(launcher, Settings(), timing=timing)
    server = StartedServer(uvicorn.Config(app, port=0, log_config=None, lifespan="on"))
    serving = asyncio.create_task(server.serve())
    await server.is_listening.wait()
    try:
        yield server.port, launcher, manager
    finally:
        server.should_exit = True
        await serving


async def post(port: int, path: str, body: dict[str, Any]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send a request and leave the connection open."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
    await writer.drain()
    return reader, writer


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_client_that_leaves_while_its_model_loads_withdraws(is_streamed: bool) -> None:
    async with listening() as (port, launcher, manager):
        gate = launcher.model("tiny-chat").load_gate = asyncio.Event()
        _, writer = await post(port, CHAT_PATH, CHAT | {"stream": is_streamed})
        await until(lambda: manager.status("tiny-chat").num_waiting == 1)
        writer.close()
        await until(lambda: manager.status("tiny-chat").num_waiting == 0)
        gate.set()
        await until(lambda: manager.loaded_ids() == ["tiny-chat"])
        assert launcher.worker("tiny-chat").requests == []


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_client_that_leaves_while_it_is_queued_is_withdrawn_from_the_engine(is_streamed: bool) -> None:
    async with listening() as (port, launcher, manager):
        launcher.model("tiny-chat").admission_gate = asyncio.Event()
        _, writer = await post(port, CHAT_PATH, CHAT | {"stream": is_streamed})
        await until(lambda: bool(launcher.workers) and len(launcher.worker("tiny-chat").requests) == 1)
        assert manager.status("tiny-chat").num_leases == 1
        writer.close()
        await until(lambda: manager.status("tiny-chat").num_leases == 0)
        assert launcher.worker("tiny-chat").num_aborted == 1


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_client_that_leaves_during_prefill_ends_its_generation(is_streamed: bool) -> None:
    async with listening() as (port, launcher, manager):
        launcher.model("tiny-chat").token_gate = asyncio.Event()
        _, writer = await post(port, CHAT_PATH, CHAT | {"stream": is_streamed})
        await until(lambda: bool(launcher.workers) and len(launcher.worker("tiny-chat").running) == 1)
        writer.close()
        await until(lambda: manager.status("tiny-chat").num_leases == 0)
        assert launcher.worker("tiny-chat").num_aborted == 1
        assert not launcher.worker("tiny-chat").running


@pytest.mark.parametrize("prompts", ["a", ["a", "b"]])
async def test_a_client_that_leaves_during_its_stream_ends_its_generations(prompts: object) -> None:
    async with listening() as (port, launcher, manager):
        model = launcher.model("tiny-chat")
        model.token_gate = asyncio.Event()
        model.num_free_words = 3
        asked = {"model": "tiny-chat", "prompt": prompts, "max_tokens": 9, "stream": True}
        reader, writer = await post(port, "/v1/completions", asked)
        await reader.readuntil(b"word2")
        writer.close()
        await until(lambda: manager.status("tiny-chat").num_leases == 0)
        assert launcher.worker("tiny-chat").num_aborted == (1 if prompts == "a" else 2)


async def test_a_client_that_left_before_its_answer_is_a_499_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "hostler.server.access")
    async with listening() as (port, launcher, manager):
        launcher.model("tiny-chat").load_gate = asyncio.Event()
        _, writer = await post(port, CHAT_PATH, CHAT)
        await until(lambda: manager.status("tiny-chat").num_waiting == 1)
        writer.close()
        await until(lambda: "status=499" in caplog.text)


@pytest.mark.parametrize("head", ["Content-Length: 100", "Transfer-Encoding: chunked"])
async def test_a_client_that_leaves_in_the_middle_of_its_request_is_a_499_too(
    head: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "hostler.server.access")
    async with listening() as (port, _, _):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        start = f"POST {CHAT_PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{head}\r\n\r\n"
        writer.write(start.encode())
        await writer.drain()
        writer.close()
        await until(lambda: "status=499" in caplog.text)
    assert "error=-" in caplog.text
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


async def test_health_answers_while_a_model_loads() -> None:
    async with listening() as (port, launcher, _):
        gate = launcher.model("tiny-chat").load_gate = asyncio.Event()
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            answer = asyncio.create_task(client.post(CHAT_PATH, json=CHAT))
            await until(lambda: bool(launcher.workers))
            for _ in range(20):
                health = await client.get("/health")
                assert (health.status_code, health.json()["loaded_models"]) == (200, [])
            assert not answer.done()
            gate.set()
            assert (await answer).status_code == 200
            assert (await client.get("/health")).json()["loaded_models"] == ["tiny-chat"]


async def test_every_event_is_sent_when_it_happens() -> None:
    async with listening() as (port, launcher, _):
        model = launcher.model("tiny-chat")
        gate = model.token_gate = asyncio.Event()
        model.num_free_words = 1
        reader, writer = await post(port, CHAT_PATH, CHAT | {"stream": True})
        await reader.readuntil(b'"content":"word0 "')
        gate.set()
        await reader.readuntil(b"data: [DONE]\n\n")
        writer.close()


@pytest.mark.parametrize(
    ("path", "request_body"),
    [
        (CHAT_PATH, CHAT),
        ("/models/tiny-chat/generate", {"text": "Hello"}),
        ("/v1/responses", {"model": "tiny-chat", "input": "Hello"}),
        ("/v1/messages", CHAT | {"max_tokens": 50}),
    ],
)
async def test_an_event_is_one_line_whatever_a_client_takes_for_its_end(
    path: str, request_body: dict[str, Any]
) -> None:
    said = "one\x85two\u2028three\u2029four"
    async with serving() as served:
        served.launcher.model("tiny-chat").answer = said
        response = await served.client.post(path, json=request_body | {"stream": True})
    lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: {")]
    assert len(lines) == response.text.count("data: {")
    assert said in "".join(text for line in lines for text in strings_in(json.loads(line)))


async def test_a_mistake_in_a_streamed_request_is_a_plain_http_error() -> None:
    async with serving() as served:
        response = await served.client.post(CHAT_PATH, json=CHAT | {"stream": True, "max_tokens": 5000})
        assert (response.status_code, response.json()["error"]["code"]) == (400, "context_length_exceeded")
        assert served.manager.status("tiny-chat").num_leases == 0


async def test_a_failed_load_of_a_streamed_request_is_a_plain_http_error() -> None:
    async with serving() as served:
        served.launcher.model("tiny-chat").load_error = ModelLoadError("no such file")
        response = await served.client.post(CHAT_PATH, json=CHAT | {"stream": True})
        assert (response.status_code, response.json()["error"]["code"]) == (503, "model_load_failed")


async def test_a_stream_that_waits_long_gets_headers_and_comments_and_then_its_answer() -> None:
    async with listening(AT_ONCE) as (port, launcher, _):
        model = launcher.model("tiny-chat")
        gate = model.load_gate = asyncio.Event()
        model.progress = [LoadProgress(stage="downloading", done_bytes=12 * 2**20, total_bytes=345 * 2**20)]
        reader, writer = await post(port, CHAT_PATH, CHAT | {"stream": True})
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        await reader.readuntil(b": downloading 3%")
        gate.set()
        await reader.readuntil(b'"content":"word1 "')
        await reader.readuntil(b"data: [DONE]\n\n")
        writer.close()


async def test_an_error_after_the_headers_comes_inside_the_stream() -> None:
    async with listening(AT_ONCE) as (port, launcher, _):
        model = launcher.model("tiny-chat")
        gate = model.load_gate = asyncio.Event()
        model.load_error = ModelLoadError("no such file")
        reader, writer = await post(port, CHAT_PATH, CHAT | {"stream": True})
        await reader.readuntil(b": loading\n\n")
        gate.set()
        error = b'{"message":"no such file","type":"server_error","param":null,"code":"model_load_failed"}'
        await reader.readuntil(b'data: {"error":' + error + b"}\n\n")
        await reader.readuntil(b"data: [DONE]\n\n")
        writer.close()


async def test_an_engine_that_fails_midway_ends_the_stream_with_an_error_and_done() -> None:
    async with serving() as served:
        model = served.launcher.model("tiny-chat")
        model.generation_error = EngineRequestError("numbers overflowed")
        model.num_free_words = 1
        response = await served.client.post(CHAT_PATH, json=CHAT | {"stream": True})
        *_, last, error = events(response.text)
        assert last["choices"][0]["delta"] == {"content": "word0 "}
        assert error["error"]["code"] == "engine_error"
        assert served.manager.status("tiny-chat").num_leases == 0


async def test_a_crash_is_an_error_of_the_requests_in_flight_and_of_no_later_one() -> None:
    async with serving() as served:
        model = served.launcher.model("tiny-chat")
        gate = model.token_gate = asyncio.Event()
        answer = asyncio.create_task(served.client.post(CHAT_PATH, json=CHAT))
        await until(lambda: bool(served.launcher.workers) and len(served.launcher.worker("tiny-chat").running) == 1)
        served.launcher.worker("tiny-chat").crash()
        response = await answer
        assert (response.status_code, response.json()["error"]["code"]) == (503, "engine_dead")
        (died,) = [entry for entry in served.manager.journal.last() if entry.kind is NoteKind.DIED]
        assert died.facts["num_lost"] == 1
        gate.set()
        assert (await served.client.post(CHAT_PATH, json=CHAT)).status_code == 200


async def test_a_request_that_a_dying_worker_has_not_taken_in_goes_to_the_next_one() -> None:
    async with serving() as served:
        model = served.launcher.model("tiny-chat")
        model.admission_gate = asyncio.Event()
        answer = asyncio.create_task(served.client.post(CHAT_PATH, json=CHAT))
        await until(lambda: bool(served.launcher.workers) and len(served.launcher.worker("tiny-chat").requests) == 1)
        served.launcher.worker("tiny-chat").crash()
        await until(lambda: len(served.launcher.workers) == 2)
        model.admission_gate.set()
        assert (await answer).status_code == 200
        assert served.manager.status("tiny-chat").num_leases == 0


async def test_a_request_that_a_hung_worker_had_is_told_so() -> None:
    async with serving(hang_timeout_s=0.2) as served:
        model = served.launcher.model("tiny-chat")
        model.token_gate, model.seconds_since_step = asyncio.Event(), 1.0
        response = await served.client.post(CHAT_PATH, json=CHAT)
        assert (response.status_code, response.json()["error"]["code"]) == (503, "engine_dead")
        assert "made no step (hang_timeout_s)" in response.json()["error"]["message"]


async def test_a_request_that_a_hung_worker_has_not_taken_in_goes_to_the_next_one() -> None:
    async with serving(hang_timeout_s=0.2) as served:
        model = served.launcher.model("tiny-chat")
        model.admission_gate, model.seconds_since_step = asyncio.Event(), 1.0
        answer = asyncio.create_task(served.client.post(CHAT_PATH, json=CHAT))
        await until(lambda: bool(served.launcher.workers) and served.launcher.workers[0].dead.is_set())
        model.seconds_since_step = 0.0
        model.admission_gate.set()
        assert (await answer).status_code == 200
        assert len(served.launcher.workers) == 2


@pytest.mark.parametrize("how", [{"params": {"force": "true"}}, {"json": {"force": True}}])
@pytest.mark.parametrize("path", ["/models/tiny-chat/unload", "/admin/unload-all"])
async def test_a_forced_unload_ends_its_requests_with_an_error_that_says_so(path: str, how: dict[str, Any]) -> None:
    async with serving() as served:
        served.launcher.model("tiny-chat").token_gate = asyncio.Event()
        answer = asyncio.create_task(served.client.post(CHAT_PATH, json=CHAT))
        await until(lambda: bool(served.launcher.workers) and len(served.launcher.worker("tiny-chat").running) == 1)
        assert (await served.client.post(path, **how)).status_code == 200
        response = await answer
        assert (response.status_code, response.json()["error"]["code"]) == (503, "model_unloaded")
        assert "x-should-retry" not in response.headers
        assert served.manager.status("tiny-chat").state is ModelState.UNLOADED


async def test_a_request_that_a_forced_unload_meets_before_it_is_taken_in_does_not_load_the_model_again() -> None:
    async with serving() as served:
        served.launcher.model("tiny-chat").admission_gate = asyncio.Event()
        answer = asyncio.create_task(served.client.post(CHAT_PATH, json=CHAT))
        await until(lambda: has_request(served.launcher, 0))
        await served.client.post("/models/tiny-chat/unload", json={"force": True})
        response = await answer
        assert (response.status_code, response.json()["error"]["code"]) == (503, "model_unloaded")
        assert len(served.launcher.workers) == 1


async def test_an_unload_without_force_waits_for_the_end_of_the_answer() -> None:
    async with serving() as served:
        gate = served.launcher.model("tiny-chat").token_gate = asyncio.Event()
        answer = asyncio.create_task(served.client.post(CHAT_PATH, json=CHAT))
        await until(lambda: bool(served.launcher.workers) and len(served.launcher.worker("tiny-chat").running) == 1)
        unload = asyncio.create_task(served.client.post("/models/tiny-chat/unload", json={"force": False}))
        await until(lambda: served.manager.status("tiny-chat").state is ModelState.UNLOADING)
        gate.set()
        assert (await answer).status_code == 200
        assert (await unload).status_code == 200


def has_request(launcher: FakeLauncher, worker: int) -> bool:
    """Whether the launcher's n-th worker has been asked for something."""
    return len(launcher.workers) > worker and bool(launcher.workers[worker].requests)


async def test_a_request_whose_second_worker_dies_too_is_refused() -> None:
    async with serving() as served:
        model = served.launcher.model("tiny-chat")
        model.admission_gate = asyncio.Event()
        answer = asyncio.create_task(served.client.post(CHAT_PATH, json=CHAT))
        await until(lambda: has_request(served.launcher, 0))
        served.launcher.workers[0].crash()
        await until(lambda: has_request(served.launcher, 1))
        served.launcher.workers[1].crash()
        response = await answer
        assert (response.status_code, response.json()["error"]["code"]) == (503, "engine_dead")


async def test_a_generation_that_is_stopped_by_the_engine_is_an_error_and_not_an_answer() -> None:
    async with serving() as served:
        served.launcher.model("tiny-chat").token_gate = asyncio.Event()
        answer = asyncio.create_task(served.client.post(CHAT_PATH, json=CHAT))
        await until(lambda: bool(served.launcher.workers) and len(served.launcher.worker("tiny-chat").running) == 1)
        next(iter(served.launcher.worker("tiny-chat").running)).abort()
        response = await answer
        assert (response.status_code, response.json()["error"]["code"]) == (503, "model_unloaded")


async def test_one_failing_prompt_of_several_ends_the_others_and_the_lease() -> None:
    async with serving() as served:
        asked = {"model": "tiny-text", "prompt": ["a", "b " * 2000, "c"]}
        response = await served.client.post("/v1/completions", json=asked)
        assert (response.status_code, response.json()["error"]["code"]) == (400, "context_length_exceeded")
        assert served.manager.status("tiny-text").num_leases == 0
        assert not served.launcher.worker("tiny-text").running


async def test_the_lease_is_released_when_a_send_never_returns() -> None:
    app, manager = make_app(FakeLauncher(), Settings())
    is_blocked = asyncio.Event()
    is_gone = asyncio.Event()
    content = json.dumps(CHAT | {"stream": True}).encode()
    requests = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if requests:
            return requests.pop()
        await is_gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            is_blocked.set()
            await asyncio.Event().wait()

    scope = {
        "type": "http",
        "method": "POST",
        "path": CHAT_PATH,
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
    }
    async with app.router.lifespan_context(app):
        call = asyncio.ensure_future(app(scope, receive, send))
        await is_blocked.wait()
        assert manager.status("tiny-chat").num_leases == 1
        is_gone.set()
        await call
        assert manager.status("tiny-chat").num_leases == 0
