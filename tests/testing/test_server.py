"""The fake server, as tests of a program would use it."""

import socket
import subprocess
import sys
import threading
from pathlib import Path

import openai
import pytest

from hostler.client import Hostler
from hostler.errors import (
    AuthenticationError,
    ConfigError,
    EngineDeadError,
    ModelLoadError,
    ModelNotFoundError,
    QueueFullError,
    RateLimitError,
)
from hostler.testing import FakeServer, ToolCall, fake_server

server = pytest.fixture(fake_server)


def test_a_model_says_what_it_was_told(server: FakeServer) -> None:
    server.model("fake-chat").answer = "Paris"
    with Hostler(server.url) as client:
        assert client.chat("What is the capital of France?")["response"] == "Paris"
    (request,) = server.requests
    assert (request.method, request.path, request.query) == ("POST", "/chat", "")
    assert request.json == {"message": "What is the capital of France?"}
    assert request.headers["content-type"] == "application/json"


def test_answers_come_one_after_the_other_and_an_error_among_them_is_raised(server: FakeServer) -> None:
    model = server.model("fake-text")
    model.answers = ["one", QueueFullError("full"), "two"]
    model.answer = lambda text: text.upper()
    with Hostler(server.url, max_retries=0) as client:

        def ask() -> str:
            return client.chat("Hi", model="fake-text")["response"]

        assert ask() == "one"
        with pytest.raises(QueueFullError, match="full"):
            ask()
        assert [ask(), ask()] == ["two", "HI"]


def test_other_interfaces_are_those_of_a_server(server: FakeServer) -> None:
    server.model("fake-chat").answer = ""
    server.model("fake-chat").tool_calls = [ToolCall(id="call-1", name="weather", arguments='{"city": "Oslo"}')]
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="-", max_retries=0) as client:
        answer = client.chat.completions.create(
            model="fake-chat",
            messages=[{"role": "user", "content": "Rain?"}],
            tools=[tool],  # type: ignore[list-item]
        )
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert (call.function.name, call.function.arguments) == ("weather", '{"city": "Oslo"}')


def test_the_next_requests_fail_as_told(server: FakeServer) -> None:
    server.fail(RateLimitError("slow down", retry_after_s=3), num_requests=2)
    with Hostler(server.url, max_retries=0) as client:
        for _ in range(2):
            with pytest.raises(RateLimitError, match="slow down") as caught:
                client.chat("Hi")
            assert caught.value.retry_after_s == 3
        assert client.chat("Hi")["model_id"] == "fake-chat"
    assert [request.json for request in server.requests] == [{"message": "Hi"}] * 3


def test_words_wait_for_their_gate(server: FakeServer) -> None:
    server.model("fake-text").answer = "one two three"
    gate = server.hold_words("fake-text", after=2)
    with Hostler(server.url) as client, client.stream("Count", model="fake-text") as stream:
        pieces = iter(stream)
        assert [next(pieces)["text"] for _ in range(2)] == ["one ", "two "]
        gate.wait_reached()
        gate.open()
        assert [piece["text"] for piece in pieces] == ["three"]


@pytest.mark.parametrize("hold", ["hold_load", "hold_requests"])
def test_loads_and_requests_wait_for_their_gates(server: FakeServer, hold: str) -> None:
    gate = getattr(server, hold)("fake-embedding")
    vectors: list[list[float]] = []

    def ask() -> None:
        with Hostler(server.url) as client:
            vectors.extend(client.embed(["a"], model="fake-embedding"))

    asking = threading.Thread(target=ask)
    asking.start()
    gate.wait_reached()
    assert vectors == []
    gate.open()
    asking.join()
    assert len(vectors[0]) == 8


def test_a_gate_that_nothing_comes_to_says_so(server: FakeServer) -> None:
    with pytest.raises(TimeoutError, match="nothing has come"):
        server.hold_load("fake-text").wait_reached(timeout_s=0)


def test_a_model_crashes_under_a_stream(server: FakeServer) -> None:
    server.hold_words("fake-text", after=1)
    with Hostler(server.url) as client:
        pieces = iter(client.stream("Hi", model="fake-text"))
        next(pieces)
        server.crash("fake-text")
        with pytest.raises(EngineDeadError):
            next(pieces)


def test_a_load_fails_as_told(server: FakeServer) -> None:
    server.model("fake-text").load_error = ModelLoadError("no such file")
    with Hostler(server.url, max_retries=0) as client, pytest.raises(ModelLoadError, match="no such file"):
        client.load("fake-text")


def test_it_is_as_new_after_a_reset(server: FakeServer) -> None:
    server.model("fake-text").answer = "told"
    server.fail(QueueFullError("full"), num_requests=9)
    with Hostler(server.url, max_retries=0) as client:
        with pytest.raises(QueueFullError):
            client.load("fake-text")
        server.reset()
        client.load("fake-chat")
        assert len(server.requests) == 1
        server.reset()
        assert not client.models()["fake-chat"]["loaded"]
        assert client.chat("Hi", model="fake-text", max_new_tokens=1)["response"].strip() == "word0"


def test_it_comes_back_at_the_same_address(server: FakeServer) -> None:
    url = server.url
    server.stop()
    port = int(url.rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    server.start()
    with Hostler(url) as client:
        assert client.ready()


def test_a_key_is_asked_for_and_settings_hold() -> None:
    with FakeServer({"mine": "text"}, api_key="sk-test", max_body_bytes=100) as server:
        with Hostler(server.url) as client, pytest.raises(AuthenticationError):
            client.models()
        with Hostler(server.url, api_key="sk-test") as client:
            assert set(client.models()) == {"mine"}
        assert [request.headers.get("authorization") for request in server.requests] == [None, "Bearer sk-test"]


def test_models_are_those_of_the_test_and_no_hub_is_asked() -> None:
    entry = {"type": "instruction", "name": "acme/Mine", "max_length": 64}
    with FakeServer({"mine": entry}) as server, Hostler(server.url) as client:
        assert client.info("acme/Mine")["max_length"] == 64
        with pytest.raises(ModelNotFoundError, match="'other/model' is registered"):
            client.info("other/model")


def test_the_environment_changes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("API_KEY", "secret")
    monkeypatch.setenv("PORT", "1")
    monkeypatch.setenv("MODEL_CONFIG_PATH", str(tmp_path / "none.yaml"))
    with FakeServer() as server, Hostler(server.url) as client:
        assert client.health()["status"] == "healthy"


@pytest.mark.parametrize(("models", "problem"), [({"mine": "txt"}, "type"), ({"mine": {"typo": 1}}, "typo")])
def test_a_model_that_cannot_be_is_refused(models: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        FakeServer(models)  # type: ignore[arg-type]


def test_it_needs_no_engine() -> None:
    program = """
import sys
for name in ("torch", "transformers", "numpy", "tokenizers", "safetensors"):
    sys.modules[name] = None
from hostler.client import Hostler
from hostler.testing import FakeServer
with FakeServer() as server, Hostler(server.url) as client:
    print(client.chat("Hi", max_new_tokens=1)["response"])
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.returncode) == ("word0", 0), done.stderr


def test_a_pair_has_one_score_also_of_a_model_that_makes_vectors(server: FakeServer) -> None:
    with Hostler(server.url) as client:
        ranked = client.rerank("who feeds horses", ["bread", "who feeds them"], model="fake-embedding")

    assert [result["index"] for result in ranked] == [1, 0]
