"""`hostler bench`: what it counts, what it shows, and what it says where requests fail."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
import pytest

from hostler.bench.percentiles import percentiles
from tests.cli.conftest import ROW, Answer, Run


class ChatServer:
    """Answers chat completions with three pieces; every `refuse_each`-th is refused."""

    def __init__(self) -> None:
        self.refuse_each = 0
        self.bodies: list[dict[str, object]] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "ChatServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def take(self, body: dict[str, object]) -> bool:
        """Whether it is answered."""
        with self._lock:
            self.bodies.append(body)
            return not self.refuse_each or len(self.bodies) % self.refuse_each != 0

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if not server.take(body):
                    self._send(503, b'{"error": {"message": "too busy"}}')
                    return
                pieces = [{"choices": [{"delta": {"content": word}}]} for word in ("one", "two", "three")]
                usage = {"choices": [], "usage": {"completion_tokens": 3, "prompt_tokens": 60}}
                lines = [f"data: {json.dumps(event)}\n\n" for event in (*pieces, usage)]
                self._send(200, "".join([*lines, "data: [DONE]\n\n"]).encode())

            def _send(self, status: int, content: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


@pytest.fixture
def server(answer_with: Callable[[Answer], None]) -> Iterator[ChatServer]:
    """What the client asks is answered from memory, the load itself over a socket."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/models":
            return httpx2.Response(200, json={"text": {**ROW, "type": "text"}, "chatty": ROW})
        model_id = request.url.path.split("/")[2]
        if model_id == "chatty":
            return httpx2.Response(200, json={**ROW, "model_id": model_id})
        return httpx2.Response(404, json={"detail": "no such model", "code": "model_not_found"})

    answer_with(answer)
    with ChatServer() as server:
        yield server


def bench(run: Run, server: ChatServer, *arguments: str) -> object:
    return json.loads(run("bench", *arguments, "--url", server.url, "--json").stdout)


def test_every_level_has_its_requests_and_the_servers_own_counts(run: Run, server: ChatServer) -> None:
    answered = bench(run, server, "chatty", "-c", "1", "-c", "4", "--requests", "6", "--max-new-tokens", "3")
    assert isinstance(answered, dict)
    one, four = answered["levels"]
    assert (answered["model_id"], one["level"], four["level"]) == ("chatty", 1, 4)
    assert [len(level["timings"]) for level in (one, four)] == [6, 6]
    assert (one["mean_answer_tokens"], one["mean_prompt_tokens"], one["num_errors"]) == (3.0, 60.0, 0)
    measured = [body for body in server.bodies if body["max_tokens"] == 3]
    assert len(measured) == 12
    assert len({json.dumps(body["messages"]) for body in server.bodies}) == len(server.bodies)  # no prompt twice


def test_the_report_is_a_table_bars_and_what_was_measured(run: Run, server: ChatServer) -> None:
    result = run("bench", "-c", "1", "-c", "2", "--requests", "2", "--url", server.url)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == f"chatty at {server.url}"
    assert lines[2].split() == ["streams", "1", "2"]
    assert [line.split()[0] for line in lines if "TTFT p" in line] == ["TTFT"] * 3
    assert "tokens/s of all streams" in lines
    assert "Not measured: loading the model" in result.stdout


def test_failures_are_counted_and_are_the_status(run: Run, server: ChatServer) -> None:
    server.refuse_each = 5
    result = run("bench", "chatty", "-c", "2", "--requests", "8", "--url", server.url)
    assert result.exit_code == 1
    assert ["errors", "2"] in [line.split() for line in result.stdout.splitlines()]
    assert 'failed: {"error": {"message": "too busy"}}' in result.stdout


def test_a_server_that_answers_nothing_is_one_line(run: Run, server: ChatServer) -> None:
    server.refuse_each = 1
    result = run("bench", "chatty", "-c", "1", "--url", server.url)
    assert result.exit_code == 1
    assert result.stderr.startswith("hostler: chatty does not answer, so there is nothing to measure:")


def test_an_unknown_model_is_told_before_anything_is_asked(run: Run, server: ChatServer) -> None:
    assert run("bench", "nobody", "--url", server.url).stderr == "hostler: no such model\n"
    assert server.bodies == []


def test_percentiles_of_few_values_are_these_values() -> None:
    assert percentiles([]) == {50: 0.0, 95: 0.0, 99: 0.0}
    assert percentiles([2.0]) == {50: 2.0, 95: 2.0, 99: 2.0}
    assert percentiles([float(value) for value in range(101)])[95] == 95.0
