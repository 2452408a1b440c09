"""Bodies of requests: JSON and its bounds, then what each interface makes of it."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.types import Scope

from hostler.errors import HostlerError, InvalidRequestError
from hostler.protocol.anthropic import CountTokensRequest, MessagesRequest
from hostler.protocol.compare import CompareRequest
from hostler.protocol.conversation import PREFIX, decode_context, encode_context
from hostler.protocol.embeddings import EmbeddingRequest
from hostler.protocol.fields import IgnoredFields
from hostler.protocol.native import ChatRequest, GenerateRequest, LoadRequest, LogLevelRequest, UnloadRequest
from hostler.protocol.openai_chat import ChatCompletionRequest
from hostler.protocol.openai_completions import CompletionRequest
from hostler.protocol.ranking import ClassifyRequest, RerankRequest, ScoreRequest
from hostler.protocol.responses import ResponsesRequest
from hostler.protocol.tokenizer import DetokenizeRequest, TokenizeRequest
from hostler.server.errors import error_response
from hostler.server.json_body import MAX_DEPTH, parse_json, validated
from hostler.types import ChatMessage, ChatPrompt, PoolingParams, Prompt, SamplingParams, TextPrompt
from hostler.worker.framing import encode
from hostler.worker.messages import Generate, Pool, decoder_of_worker
from tests.fuzz.target import Target

TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {"a": {}}}}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
TURNS = [{"role": "system", "content": "b"}, {"role": "user", "content": [{"type": "text", "text": "a"}]}]
CHAT = {"model": "m", "messages": TURNS, "tools": [TOOL], "stop": ["x"], "logit_bias": {"1": 2}, "seed": 1, "n": 2}
_PATHS = ("/generate", "/v1/chat/completions", "/v1/messages")
Handled = SamplingParams | PoolingParams


def _scope(path: str) -> Scope:
    return {"type": "http", "path": path, "method": "POST", "headers": [], "state": {}}


def _is_told(exc: Exception) -> None:
    """A refusal can be written as an answer of each interface."""
    for path in _PATHS:
        assert error_response(exc, _scope(path)).status_code < 500


def _reaches_a_worker(params: Handled, *prompts: Prompt) -> None:
    """What was accepted arrives there as it was."""
    if isinstance(params, PoolingParams):
        messages = [Pool(call_id=1, inputs=[], params=params)]
        assert list(decoder_of_worker().feed(encode(messages[0]))) == messages
        return
    for prompt in prompts or (TextPrompt(text="a"),):
        message = Generate(request_id=1, prompt=prompt, params=params)
        assert list(decoder_of_worker().feed(encode(message))) == [message]


def _chat(body: ChatCompletionRequest) -> None:
    _reaches_a_worker(body.sampling_params(), body.prompt())
    body.tool_use()


def _messages(body: MessagesRequest) -> None:
    _reaches_a_worker(body.sampling_params(1.0), body.prompt())


def _responses(body: ResponsesRequest) -> None:
    _reaches_a_worker(body.sampling_params(1.0), body.prompt())
    body.tool_use()


def _generate(body: GenerateRequest) -> None:
    _reaches_a_worker(body.sampling_params(100), *body.prompts())


def _native_chat(body: ChatRequest) -> None:
    turns = body.turns()
    _reaches_a_worker(body.sampling_params(1.0), ChatPrompt(messages=turns))


def _compare(body: CompareRequest) -> None:
    _reaches_a_worker(body.sampling_params(100, 1.0), body.prompt())


def _completion(body: CompletionRequest) -> None:
    _reaches_a_worker(body.sampling_params())


def _pooling(body: EmbeddingRequest | RerankRequest | ScoreRequest | ClassifyRequest) -> None:
    _reaches_a_worker(body.pooling_params())
    if isinstance(body, RerankRequest | ScoreRequest):
        body.pairs()


def _nothing(body: BaseModel) -> None:
    """It is used as it is."""


BODIES: tuple[tuple[type[BaseModel], Callable[[Any], None], dict[str, Any]], ...] = (
    (ChatCompletionRequest, _chat, CHAT | {"response_format": SCHEMA, "tool_choice": "auto", "logprobs": True}),
    (CompletionRequest, _completion, {"model": "m", "prompt": ["a", "b"], "best_of": 2, "n": 2, "logprobs": 3}),
    (
        MessagesRequest,
        _messages,
        {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "a"}], "stop_sequences": ["x"]},
    ),
    (CountTokensRequest, lambda body: body.prompt(), {"model": "m", "messages": [{"role": "user", "content": "a"}]}),
    (
        ResponsesRequest,
        _responses,
        {"model": "m", "input": [{"role": "user", "content": "a"}], "text": {"format": {"type": "text"}}},
    ),
    (GenerateRequest, _generate, {"text": "a", "temperature": 0.5, "top_k": 3, "stop": ["x"], "keep_alive": "5m"}),
    (ChatRequest, _native_chat, {"message": "a", "context": encode_context([ChatMessage(role="user", content="b")])}),
    (CompareRequest, _compare, {"models": ["a", "b"], "prompt": "x"}),
    (EmbeddingRequest, _pooling, {"model": "m", "input": ["a"], "dimensions": 3, "encoding_format": "base64"}),
    (RerankRequest, _pooling, {"model": "m", "query": "a", "documents": ["b", {"text": "c"}], "top_n": 1}),
    (ScoreRequest, _pooling, {"model": "m", "text_1": "a", "text_2": ["b"]}),
    (ClassifyRequest, _pooling, {"model": "m", "input": [[1, 2]]}),
    (TokenizeRequest, lambda body: body.as_prompt(), {"model": "m", "prompt": "a"}),
    (DetokenizeRequest, _nothing, {"model": "m", "tokens": [1, 2]}),
    (LoadRequest, _nothing, {"force_reload": True, "keep_alive": -1}),
    (UnloadRequest, _nothing, {"force": True}),
    (LogLevelRequest, _nothing, {"level": "INFO"}),
)


def _parse_body(model: type[BaseModel], use: Callable[[Any], None]) -> Callable[[bytes], None]:
    def parse(data: bytes) -> None:
        try:
            value = parse_json(data)
            validated(json.loads(json.dumps(value)), model, IgnoredFields())
            use(validated(value, model))
        except (HostlerError, RequestValidationError) as exc:
            _is_told(exc)

    return parse


def _names(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        yield from (value for value in (*schema.get("enum", ()), schema.get("const")) if isinstance(value, str))
        for part in schema.values():
            yield from _names(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _names(part)


def _parse_json(data: bytes) -> None:
    value = parse_json(data)
    # Iteratively, so that the claim does not end with the test's own stack.
    level, depth = [value], 0
    while level:
        depth += 1
        inner = [
            list(each.values()) if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)
        ]
        level = [part for each in inner for part in each]
    assert depth <= MAX_DEPTH + 1


def _parse_context(data: bytes) -> None:
    turns = decode_context(data.decode("utf-8", "replace"))
    assert decode_context(encode_context(turns)) == turns


TARGETS = (
    Target(
        "json", _parse_json, (b'{"a": [1, "b", null]}', b"[" * 65 + b"]" * 65), (InvalidRequestError,), is_json=True
    ),
    Target(
        "context",
        _parse_context,
        (encode_context([ChatMessage(role="user", content="a")]).encode(), PREFIX.encode(), b"Human: a"),
        (InvalidRequestError,),
        words=(PREFIX,),
    ),
    *(
        Target(
            f"body-{model.__name__}",
            _parse_body(model, use),
            (json.dumps(example).encode(),),
            words=tuple(sorted(set(_names(model.model_json_schema())))),
            is_json=True,
        )
        for model, use, example in BODIES
    ),
)
