"""Examples for the OpenAPI document: one for each field of a request, each parameter and each kind of stream."""

from collections.abc import Iterable
from typing import Any

import msgspec

from hostler.server.dialect_examples import DIALECT_EVENTS, DIALECT_FIELDS
from hostler.server.pooling_examples import POOLING_FIELDS

_MODEL = "smollm2-135m"
_WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}

FIELDS: dict[str, Any] = (
    {
        "AllowedFunctions.mode": "required",
        "AllowedFunctions.tools": [{"type": "function", "function": {"name": "weather"}}],
        "AllowedToolsChoice.allowed_tools": {
            "mode": "required",
            "tools": [{"type": "function", "function": {"name": "weather"}}],
        },
        "AllowedToolsChoice.type": "allowed_tools",
        "add_generation_prompt": True,
        "add_special_tokens": True,
        "after": 41,
        "after_id": "smollm2-135m",
        "anthropic-version": "2023-06-01",
        "before_id": "smollm2-135m",
        "arguments": '{"city": "Lyon"}',
        "Message.content": "Which horse is the fastest?",
        "best_of": 3,
        "CalledFunction.name": "weather",
        "choice": ["yes", "no"],
        "context": "hostler-context-1:W1sidXNlciIsIkhpIl1d",
        "continue_final_message": False,
        "deep": True,
        "do_sample": True,
        "dry_run": True,
        "early_stopping": True,
        "echo": False,
        "force": True,
        "force_reload": True,
        "frequency_penalty": 0.2,
        "function": {"name": "weather", "arguments": '{"city": "Lyon"}'},
        "Function.description": "The weather in a city",
        "Function.name": "weather",
        "Function.parameters": _WEATHER,
        "Function.strict": True,
        "FunctionTool.function": {"name": "weather", "parameters": _WEATHER},
        "FunctionTool.type": "function",
        "grammar": 'start: "yes" | "no"',
        "id": "call_1",
        "ignore_eos": False,
        "include_usage": True,
        "index": 0,
        "json_schema": {"type": "object", "properties": {"speed": {"type": "integer"}}, "required": ["speed"]},
        "JsonSchemaFormat.json_schema": {"name": "speed", "schema": {"type": "object"}},
        "keep_alive": "5m",
        "last-event-id": "41",
        "length_penalty": 1.0,
        "level": "DEBUG",
        "lifecycle[]": ["active"],
        "limit": 100,
        "logit_bias": {"198": -100},
        "ChatCompletionBody.logprobs": True,
        "ChatCompletionRequest.logprobs": True,
        "logprobs": 2,
        "max_completion_tokens": 50,
        "max_length": 100,
        "max_new_tokens": 50,
        "max_tokens": 50,
        "message": "Which horse is the fastest?",
        "messages": [{"role": "user", "content": "Which horse is the fastest?"}],
        "min_p": 0.05,
        "min_tokens": 1,
        "model": _MODEL,
        "model_id": _MODEL,
        "model_type": "text",
        "models": [_MODEL, "gpt2-small"],
        "n": 1,
        "name": "anna",
        "num_beams": 1,
        "num_return_sequences": 1,
        "presence_penalty": 0.2,
        "pinned": True,
        "priority": 0,
        "prompt": "The horse",
        "prompt_cache_breakpoint": {"type": "ephemeral"},
        "NamedFunction.name": "weather",
        "NamedToolChoice.function": {"name": "weather"},
        "NamedToolChoice.type": "function",
        "parallel_tool_calls": False,
        "NamedSchema.description": "How fast it runs",
        "NamedSchema.name": "speed",
        "NamedSchema.schema": {"type": "object", "properties": {"speed": {"type": "integer"}}, "required": ["speed"]},
        "NamedSchema.strict": True,
        "JsonObjectFormat.type": "json_object",
        "JsonObjectFormat.value": {"type": "object"},
        "JsonSchemaFormat.type": "json_schema",
        "reasoning_effort": "low",
        "regex": "[0-9]{1,3} km/h",
        "response_format": {"type": "json_schema", "json_schema": {"name": "speed", "schema": {"type": "object"}}},
        "reasoning_content": "The fastest horses are Thoroughbreds.",
        "repetition_penalty": 1.1,
        "role": "user",
        "seed": 7,
        "skip_special_tokens": True,
        "stop": ["\n\n"],
        "stop_token_ids": [0],
        "stream": False,
        "stream_options": {"include_usage": True},
        "temperature": 0.7,
        "text": "The horse",
        "texts": ["The horse", "The cow"],
        "tokens": [19556, 665],
        "tool_call_id": "call_1",
        "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}],
        "tool_choice": "auto",
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": _WEATHER}}],
        "top_k": 50,
        "top_logprobs": 2,
        "top_p": 0.9,
        "MessageToolCall.type": "function",
        "type": "text",
        "typical_p": 0.95,
    }
    | DIALECT_FIELDS
    | POOLING_FIELDS
)
"""By the name of the field or parameter, and by `Schema.field` where one name means several things."""


_CHUNK = {"id": "chatcmpl-1f0c", "object": "chat.completion.chunk", "created": 1795000000, "model": _MODEL}
_PIECE = {"id": "cmpl-1f0c", "object": "text_completion", "created": 1795000000, "model": _MODEL}
_UNSCORED = {"logprobs": None, "finish_reason": None}

EVENTS: dict[str, dict[str, Any]] = {
    "ChatCompletionChunk": {
        **_CHUNK,
        "system_fingerprint": "fp_44709d6fcb",
        "choices": [{"index": 0, "delta": {"content": "The"}, **_UNSCORED}],
    },
    "ComparedText": {"model_id": _MODEL, "text": " runs", "finish_reason": None},
    "CompletionChunk": {
        **_PIECE,
        "system_fingerprint": "fp_44709d6fcb",
        "choices": [{"index": 0, "text": " runs", **_UNSCORED}],
    },
    "ModelEvent": {
        "number": 42,
        "time": 1795000000.25,
        "kind": "loaded",
        "model_id": _MODEL,
        "text": f"{_MODEL} is loaded",
        "facts": {"load_s": 0.5},
    },
    "StreamedText": {"index": 0, "text": " runs", "finish_reason": None},
    **DIALECT_EVENTS,
}
"""By the type of the event."""


def field_example(schema: str, field: str) -> Any:
    """`None`: there is none yet, which a test does not let pass."""
    return FIELDS.get(f"{schema}.{field}", FIELDS.get(field))


def stream_example(events: Iterable[str], *, ends: bool) -> str:
    """What a stream of events of those types looks like; `ends`: with `[DONE]`."""
    shown = [EVENTS[event] for event in events if event in EVENTS]
    lines = [_framed(event) for event in shown] + ["data: [DONE]"] * ends
    return "".join(f"{line}\n\n" for line in lines)


def _framed(event: dict[str, Any]) -> str:
    """Those that name themselves are named events."""
    data = f"data: {msgspec.json.encode(event).decode()}"
    return f"event: {event['type']}\n{data}" if "type" in event else data
