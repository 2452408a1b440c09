"""Requests of the client, without a network."""

from collections.abc import Callable

import pytest
from pydantic import BaseModel

from hostler.client import calls
from hostler.client.calls import Call
from hostler.client.options import (
    EmbedOptions,
    GenerateOptions,
    LoadOptions,
    ReadingOptions,
    RerankOptions,
    SamplingOptions,
)
from hostler.protocol.embeddings import EmbeddingBody
from hostler.protocol.native import ChatRequest, GenerateRequest, LoadRequest
from hostler.protocol.ranking import ClassifyBody, RerankBody, ScoreBody


@pytest.mark.parametrize(
    ("make", "method", "path", "body"),
    [
        (calls.health, "GET", "/health", None),
        (calls.models, "GET", "/models", None),
        (calls.auth_status, "GET", "/auth/status", None),
        (lambda: calls.info("gpt2-small"), "GET", "/models/gpt2-small/info", None),
        (lambda: calls.load("gpt2", {}), "POST", "/models/gpt2/load", {}),
        (
            lambda: calls.load("gpt2", {"force_reload": True, "keep_alive": "5m", "pinned": None}),
            "POST",
            "/models/gpt2/load",
            {"force_reload": True, "keep_alive": "5m"},
        ),
        (lambda: calls.unload("gpt2"), "POST", "/models/gpt2/unload", None),
        (lambda: calls.unload("gpt2", True), "POST", "/models/gpt2/unload", {"force": True}),
        (lambda: calls.unload_all(False), "POST", "/admin/unload-all", None),
        (lambda: calls.unload_all(True), "POST", "/admin/unload-all", {"force": True}),
        (lambda: calls.reload_config(False), "POST", "/admin/reload-config", None),
        (lambda: calls.reload_config(True), "POST", "/admin/reload-config?dry_run=1", None),
        (lambda: calls.plan("a/b"), "POST", "/models/a%2Fb/plan", None),
        (lambda: calls.model_health("gpt2", False), "GET", "/models/gpt2/health", None),
        (lambda: calls.model_health("gpt2", True), "GET", "/models/gpt2/health?deep=1", None),
        (lambda: calls.events(None, 0), "GET", "/events?stream=1&after=0", None),
        (lambda: calls.events("gpt2", 7), "GET", "/models/gpt2/events?stream=1&after=7", None),
        (lambda: calls.past_events("gpt2", 7, 1), "GET", "/models/gpt2/events?limit=1&after=7", None),
        (
            lambda: calls.generate_many(("a", "b"), None, {"seed": 1}),
            "POST",
            "/generate",
            {"texts": ["a", "b"], "seed": 1},
        ),
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
        (
            lambda: calls.score("Hi", ("Ho",), "bge", {}),
            "POST",
            "/models/bge/v1/score",
            {"text_1": "Hi", "text_2": ["Ho"]},
        ),
        (
            lambda: calls.score(("Hi",), ("Ho",), "bge", {"truncate_prompt_tokens": -1}),
            "POST",
            "/models/bge/v1/score",
            {"text_1": ["Hi"], "text_2": ["Ho"], "truncate_prompt_tokens": -1},
        ),
        (lambda: calls.classify(("Hi",), "bert", {}), "POST", "/models/bert/v1/classify", {"input": ["Hi"]}),
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


def fields_of(request: type[BaseModel]) -> set[str]:
    return set(request.model_fields) - {"stream"}


@pytest.mark.parametrize(
    ("options", "request_type", "said_by_name"),
    [
        (SamplingOptions, ChatRequest, {"message", "messages", "context"}),
        (GenerateOptions, GenerateRequest, {"text", "texts"}),
        (LoadOptions, LoadRequest, set()),
        (EmbedOptions, EmbeddingBody, {"input", "model", "user", "encoding_format"}),
        (RerankOptions, RerankBody, {"query", "documents", "model", "user"}),
        (ReadingOptions, ScoreBody, {"text_1", "text_2", "model", "user"}),
        (ReadingOptions, ClassifyBody, {"input", "model", "user"}),
    ],
)
def test_every_field_of_a_request_can_be_asked_for(
    options: type, request_type: type[BaseModel], said_by_name: set[str]
) -> None:
    assert set(options.__annotations__) == fields_of(request_type) - said_by_name
