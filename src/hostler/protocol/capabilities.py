"""What requests may hold, read from their models, so that nothing of it is written down twice."""

from collections.abc import Collection, Mapping
from typing import Any, get_args

from pydantic import BaseModel

from hostler.protocol.embeddings import EmbeddingRequest
from hostler.protocol.model_answers import NotSupported, Parameter
from hostler.protocol.native import ChatRequest, GenerateRequest
from hostler.protocol.openai_chat import ChatCompletionRequest
from hostler.protocol.openai_completions import CompletionRequest
from hostler.protocol.openai_fields import CHAT_UNSUPPORTED, COMPLETIONS_UNSUPPORTED, WITHOUT_EFFECT
from hostler.protocol.openai_messages import TextPart
from hostler.protocol.ranking import ClassifyRequest, RerankRequest, ScoreRequest
from hostler.types import ChatFormat, SamplingParams

RENDERING = {
    ChatFormat.TEMPLATE: "The chat template of the model's tokenizer; tokenizer_info shows it.",
    ChatFormat.EOS_TURNS: "The contents of the messages, each followed by the end-of-text token, as DialoGPT has it.",
    ChatFormat.HUMAN_ASSISTANT: "A line for each message: 'Human: …', 'Assistant: …', 'Tool: …', a system message as it"
    " is; and 'Assistant:' for the answer.",
    ChatFormat.PLAIN: "The contents of the messages, a line each, and nothing else.",
}
"""What a model is given for a conversation."""

_CONTENT = frozenset(
    (
        *("model", "prompt", "messages", "text", "texts", "message", "context", "stream_options"),
        *("add_generation_prompt", "continue_final_message", "tools", "tool_choice", "parallel_tool_calls"),
        *("input", "query", "documents", "text_1", "text_2", "user"),
    )
)
"""Fields that are no parameters of an answer."""
_POOLING_REQUESTS = {
    "/v1/embeddings": EmbeddingRequest,
    "/v1/rerank": RerankRequest,
    "/v1/score": ScoreRequest,
    "/v1/classify": ClassifyRequest,
}
_NAMED_OTHERWISE = {"num_return_sequences": "n", "max_new_tokens": "max_tokens", "max_completion_tokens": "max_tokens"}
"""Fields to those of `SamplingParams` that they become."""


def message_content() -> list[str]:
    return list(get_args(TextPart.model_fields["type"].annotation))


def not_supported() -> NotSupported:
    return NotSupported(chat_completions=sorted(CHAT_UNSUPPORTED), completions=sorted(COMPLETIONS_UNSUPPORTED))


def without_effect() -> list[str]:
    return sorted(WITHOUT_EFFECT)


def parameters(
    schemas: Mapping[str, Any], *, default_max_length: int, suggested_temperature: float
) -> dict[str, dict[str, Parameter]]:
    """By route and name; `schemas`: JSON Schemas of the requests, by name."""
    generate = GenerateRequest.model_validate({"text": ""})
    chat = ChatRequest.model_validate({"message": ""})
    chat_completion = ChatCompletionRequest.model_validate(
        {"model": "", "messages": [{"role": "user", "content": "Hi"}]}
    )
    completion = CompletionRequest.model_validate({"model": "", "prompt": ""})
    usual: dict[str, tuple[BaseModel, SamplingParams]] = {
        "generate": (generate, generate.sampling_params(default_max_length)),
        "chat": (chat, chat.sampling_params(suggested_temperature)),
        "/v1/chat/completions": (chat_completion, chat_completion.sampling_params(suggested_temperature)),
        "/v1/completions": (completion, completion.sampling_params(suggested_temperature)),
    }
    return {
        route: {
            name: _parameter(name, schema, params)
            for name, schema in schemas[type(request).__name__]["properties"].items()
            if name not in _CONTENT
        }
        for route, (request, params) in usual.items()
    }


def pooling_parameters(schemas: Mapping[str, Any], routes: Collection[str]) -> dict[str, dict[str, Parameter]]:
    """The same of those of the routes that ask models which read whole texts."""
    return {
        route: {
            name: _parameter(name, schema, SamplingParams())
            for name, schema in schemas[request.__name__]["properties"].items()
            if name not in _CONTENT
        }
        for route, request in _POOLING_REQUESTS.items()
        if route in routes
    }


def _parameter(name: str, schema: Mapping[str, Any], params: SamplingParams) -> Parameter:
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    described = {key: value for key, value in schema.items() if key not in ("anyOf", "title", "examples", "default")}
    described |= dict(kinds[0]) if len(kinds) == 1 else {"anyOf": kinds} if kinds else {}
    return described | {"default": _default(name, described, params)}


def _default(name: str, schema: Parameter, params: SamplingParams) -> Any:
    """What a request comes to that leaves the field out."""
    if name == "do_sample":
        return params.temperature > 0
    if name == "num_beams":
        return 1
    if name == "priority":
        return 0
    value = getattr(params, _NAMED_OTHERWISE.get(name, name), None)
    return False if value is None and schema.get("type") == "boolean" else value
