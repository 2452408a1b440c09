"""The route that tells what a model can do. It loads nothing."""

from collections.abc import Iterator
from typing import Any, cast

from fastapi import APIRouter, Request

from hostler.keys import Scope
from hostler.protocol.beams import MAX_BEAMS
from hostler.protocol.capabilities import (
    RENDERING,
    message_content,
    not_supported,
    parameters,
    pooling_parameters,
    without_effect,
)
from hostler.protocol.compare import MAX_COMPARED
from hostler.protocol.conversation import MAX_CONTEXT_CHARS
from hostler.protocol.fields import MAX_STOP_CHARS, MAX_STOP_STRINGS, MAX_STOP_TOKEN_IDS
from hostler.protocol.model_answers import Capabilities, Limits, Parameter, PoolingAbilities
from hostler.protocol.openai import MAX_CHOICES, MAX_LOGIT_BIAS
from hostler.protocol.openai_chat import MAX_TOP_LOGPROBS
from hostler.protocol.openai_completions import MAX_BEST_OF, MAX_LOGPROBS, MAX_SEQUENCES
from hostler.protocol.openai_messages import MAX_MESSAGES
from hostler.protocol.pooling import MAX_INPUTS
from hostler.protocol.tokenizer import MAX_CHARS_TO_TOKENIZE, MAX_TOKENS_TO_SPELL
from hostler.registry import ModelSpec
from hostler.server.auth import needs
from hostler.server.json_body import MAX_DEPTH, MAX_NODES
from hostler.server.model_types import types_of_route
from hostler.server.services import PathModel, Services, ServicesDep
from hostler.types import ModelFacts, ModelState, PoolingFacts

router = APIRouter(tags=["models"], dependencies=[needs(Scope.READ)])


@router.get("/models/{model_id:model}/capabilities")
async def capabilities(request: Request, spec: PathModel, services: ServicesDep) -> Capabilities:
    """What a model can do, which values each parameter takes, and every limit."""
    return _capabilities(services, spec, request.app.openapi())


def _capabilities(services: Services, spec: ModelSpec, document: dict[str, Any]) -> Capabilities:
    """`document`: the OpenAPI document, whose schemas say what a request may hold."""
    status = services.manager.status(spec.id)
    facts = status.facts if status.state is ModelState.READY else None
    known = (
        {}
        if facts is None
        else {
            "architecture": facts.architecture,
            "is_encoder_decoder": facts.is_encoder_decoder,
            "max_model_len": facts.max_model_len,
            "dtype": facts.dtype,
            "device": facts.device,
            "revision": facts.revision,
            "chat_format": facts.chat_format.value,
            "chat_rendering": RENDERING[facts.chat_format],
            "tools": _tools_of(facts),
            "has_prompt_logprobs": not facts.is_encoder_decoder and not spec.type.is_pooling,
            "pooling": _pooling_of(facts.pooling),
        }
    )
    answer = {
        **dict.fromkeys(Capabilities.__annotations__),
        "model_id": spec.id,
        "model_name": spec.name,
        "type": spec.type.value,
        "loaded": facts is not None,
        **known,
        "message_content": message_content(),
        "routes": list(_routes(document, spec)),
        "parameters": _parameters(document, spec),
        "limits": _limits(services, spec),
        "not_supported": not_supported(),
        "without_effect": without_effect(),
    }
    return cast(Capabilities, answer)


def _tools_of(facts: ModelFacts) -> str | None:
    if facts.pooling is not None:
        return None
    return "template" if facts.has_tool_template else "instruction"


def _parameters(document: dict[str, Any], spec: ModelSpec) -> dict[str, dict[str, Parameter]]:
    schemas = document["components"]["schemas"]
    if spec.type.is_pooling:
        return pooling_parameters(schemas, [path for path in document["paths"] if spec.type in types_of_route(path)])
    return parameters(
        schemas, default_max_length=spec.default_max_length, suggested_temperature=spec.suggested_temperature
    )


def _limits(services: Services, spec: ModelSpec) -> Limits:
    settings = services.settings
    return Limits(
        max_body_bytes=settings.max_body_bytes,
        max_json_depth=MAX_DEPTH,
        max_json_nodes=MAX_NODES,
        max_messages=MAX_MESSAGES,
        max_context_chars=MAX_CONTEXT_CHARS,
        max_prompts=min(MAX_SEQUENCES, spec.max_queued_requests),
        max_sequences=MAX_SEQUENCES,
        max_choices=MAX_CHOICES,
        max_best_of=MAX_BEST_OF,
        max_num_beams=MAX_BEAMS,
        max_logprobs=MAX_LOGPROBS,
        max_top_logprobs=MAX_TOP_LOGPROBS,
        max_logit_bias=MAX_LOGIT_BIAS,
        max_stop_strings=MAX_STOP_STRINGS,
        max_stop_chars=MAX_STOP_CHARS,
        max_stop_token_ids=MAX_STOP_TOKEN_IDS,
        max_chars_to_tokenize=MAX_CHARS_TO_TOKENIZE,
        max_tokens_to_detokenize=MAX_TOKENS_TO_SPELL,
        max_compared_models=MAX_COMPARED,
        max_inputs=MAX_INPUTS,
        max_num_seqs=spec.max_num_seqs,
        max_num_batched_tokens=spec.max_num_batched_tokens,
        max_queued_requests=spec.max_queued_requests,
        max_waiting_per_model=settings.max_waiting_per_model,
        acquire_timeout_s=settings.acquire_timeout_s,
    )


def _pooling_of(facts: PoolingFacts | None) -> PoolingAbilities | None:
    if facts is None:
        return None
    return PoolingAbilities(num_values=facts.num_values, labels=facts.labels, input_types=facts.input_types)


def _routes(document: dict[str, Any], spec: ModelSpec) -> Iterator[str]:
    """`METHOD /path` of what names the model in its path or its body, and asks models of its type."""
    schemas = document["components"]["schemas"]
    for path, operations in document["paths"].items():
        if spec.type not in types_of_route(path):
            continue
        for method, operation in operations.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            fields = schemas.get(body.get("$ref", "").rpartition("/")[2], {}).get("properties", {})
            if "{model_id}" in path or "model" in fields or "models" in fields:
                yield f"{method.upper()} {path.replace('{model_id}', spec.id)}"
