"""Requests and answers of the client, without a network."""

import json
from collections.abc import Callable

import pytest

from hostler.client import calls
from hostler.client.calls import Call
from hostler.errors import (
    GatedModelError,
    HostlerError,
    InvalidRequestError,
    ModelNotFoundError,
    QueueFullError,
    RequestError,
    ServiceError,
    subclasses_by_code,
)
from hostler.protocol.native_answers import Health


@pytest.mark.parametrize(
    ("make", "method", "path", "body"),
    [
        (calls.health, "GET", "/health", None),
        (calls.models, "GET", "/models", None),
        (calls.auth_status, "GET", "/auth/status", None),
        (lambda: calls.info("gpt2-small"), "GET", "/models/gpt2-small/info", None),
        (lambda: calls.load("gpt2", True), "POST", "/models/gpt2/load", {"force_reload": True}),
        (
            lambda: calls.load("gpt2", False, "5m"),
            "POST",
            "/models/gpt2/load",
            {"force_reload": False, "keep_alive": "5m"},
        ),
        (lambda: calls.unload("gpt2"), "POST", "/models/gpt2/unload", None),
        (lambda: calls.unload("gpt2", True), "POST", "/models/gpt2/unload", {"force": True}),
        (lambda: calls.plan("a/b"), "POST", "/models/a%2Fb/plan", None),
        (lambda: calls.model_health("gpt2", False), "GET", "/models/gpt2/health", None),
        (lambda: calls.model_health("gpt2", True), "GET", "/models/gpt2/health?deep=1", None),
        (lambda: calls.events(None, 0), "GET", "/events?stream=1&after=0", None),
        (lambda: calls.events("gpt2", 7), "GET", "/models/gpt2/events?stream=1&after=7", None),
        (lambda: calls.generate("Hi", None, {}), "POST", "/generate", {"text": "Hi"}),
        (
            lambda: calls.generate("Hi", "gpt2", {"temperature": 0, "num_return_sequences": 2}),
            "POST",
            "/models/gpt2/generate",
            {"text": "Hi", "temperature": 0, "num_return_sequences": 2},
        ),
        (lambda: calls.capabilities("a/b"), "GET", "/models/a%2Fb/capabilities", None),
        (lambda: calls.tokenize("Hi", None, True), "POST", "/tokenize", {"prompt": "Hi"}),
        (
            lambda: calls.tokenize([{"role": "user", "content": "Hi"}], "gpt2", False),
            "POST",
            "/models/gpt2/tokenize",
            {"messages": [{"role": "user", "content": "Hi"}], "add_special_tokens": False},
        ),
        (
            lambda: calls.embed(("Hi", "Ho"), "a/b", {"dimensions": 2}),
            "POST",
            "/models/a%2Fb/v1/embeddings",
            {"input": ["Hi", "Ho"], "dimensions": 2},
        ),
        (
            lambda: calls.rerank("Hi", ("Ho",), "bge", {"top_n": 1}),
            "POST",
            "/models/bge/v1/rerank",
            {"query": "Hi", "documents": ["Ho"], "top_n": 1},
        ),
        (lambda: calls.detokenize((1, 2), None), "POST", "/detokenize", {"tokens": [1, 2]}),
        (lambda: calls.compare(["a"], "Hi", None, {}), "POST", "/compare", {"models": ["a"], "text": "Hi"}),
        (
            lambda: calls.compare(("a", "b"), None, [{"role": "user", "content": "Hi"}], {"seed": 1}),
            "POST",
            "/compare",
            {"models": ["a", "b"], "messages": [{"role": "user", "content": "Hi"}], "seed": 1},
        ),
        (lambda: calls.chat("Hi", None, None, {}), "POST", "/chat", {"message": "Hi"}),
        (
            lambda: calls.chat("Hi", "gpt2", "", {"max_length": 9}),
            "POST",
            "/models/gpt2/chat",
            {"message": "Hi", "context": "", "max_length": 9},
        ),
    ],
)
def test_a_call_is_what_the_native_interface_expects(
    make: Callable[[], Call[object]], method: str, path: str, body: dict[str, object] | None
) -> None:
    call = make()

    assert (call.method, call.path, call.body) == (method, path, body)


def test_the_slash_of_a_hub_name_is_escaped() -> None:
    assert calls.info("microsoft/DialoGPT-small").path == "/models/microsoft%2FDialoGPT-small/info"


def test_a_streamed_call_asks_for_a_stream_and_leaves_the_other_alone() -> None:
    call = calls.generate("Hi", None, {})

    assert call.streamed().body == {"text": "Hi", "stream": True}
    assert call.body == {"text": "Hi"}


def test_the_key_travels_as_a_bearer_token() -> None:
    assert calls.headers("secret") == {"Authorization": "Bearer secret"}
    assert calls.headers(None) == {}


@pytest.mark.parametrize("content", [b"<html>", b"[]", b'{"status": "odd"}', b""])
def test_an_answer_of_something_else_is_told_apart(content: bytes) -> None:
    with pytest.raises(ServiceError, match="is it Hostler"):
        calls.read_answer(content, Health)


@pytest.mark.parametrize("code", sorted(subclasses_by_code()))
def test_every_code_comes_back_as_its_own_class(code: str) -> None:
    error = calls.read_error(418, json.dumps({"detail": "why", "code": code}).encode())

    assert type(error) is subclasses_by_code()[code]
    assert error.message == "why"


@pytest.mark.parametrize(
    ("status", "content", "expected"),
    [
        (404, b'{"detail": "no model", "code": "model_not_found"}', ModelNotFoundError),
        (403, b'{"detail": "gated", "code": "gated_model"}', GatedModelError),
        (429, b'{"detail": "full", "code": "queue_full"}', QueueFullError),
        (400, b'{"detail": "odd", "code": "of a newer server"}', RequestError),
        (502, b"<html>Bad gateway</html>", ServiceError),
        (413, b"", RequestError),
        (500, b'["a list"]', ServiceError),
    ],
)
def test_an_error_has_the_class_of_its_code_or_else_of_its_status(
    status: int, content: bytes, expected: type[HostlerError]
) -> None:
    assert type(calls.read_error(status, content)) is expected


def test_an_error_without_words_says_its_status() -> None:
    assert calls.read_error(502, b"<html>").message == "the server answered with status 502"


def test_a_list_of_problems_becomes_one_sentence_and_names_the_field() -> None:
    problems = [
        {"type": "less_than_equal", "loc": ["body", "temperature"], "msg": "too hot"},
        {"type": "missing", "loc": ["body", "text"], "msg": "Field required"},
    ]

    error = calls.read_error(422, json.dumps({"detail": problems}).encode())

    assert isinstance(error, InvalidRequestError)
    assert error.message == "body.temperature: too hot; body.text: Field required"
    assert error.param == "temperature"


def test_an_error_of_a_route_of_openais_is_read_too() -> None:
    body = {"error": {"message": "no text", "type": "invalid_request_error", "param": "input", "code": "invalid_value"}}
    error = calls.read_error(400, json.dumps(body).encode())
    assert (type(error), error.message, error.param) == (InvalidRequestError, "no text", "input")
    assert type(calls.read_error(502, b'{"error": {"message": "bad gateway"}}')) is ServiceError
