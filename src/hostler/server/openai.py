"""OpenAI's routes."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from hostler.keys import Scope
from hostler.protocol.openai import ErrorBody
from hostler.protocol.openai_chat import ChatCompletion, ChatCompletionBody, ChatCompletionChunk, ChatCompletionRequest
from hostler.protocol.openai_completions import Completion, CompletionBody, CompletionChunk, CompletionRequest
from hostler.registry import ModelSpec
from hostler.server.auth import needs
from hostler.server.direct_route import DirectRoute
from hostler.server.generation import GenerationRun, refuse_too_many
from hostler.server.json_body import JsonBody
from hostler.server.openai_formats import ChatCompletionFormat, CompletionFormat
from hostler.server.openapi import answer_of, body_of
from hostler.server.rate_limits import count_request
from hostler.server.services import PathModel, Services, ServicesDep, resolve
from hostler.server.streaming import GenerationResponse

router = APIRouter(
    tags=["OpenAI"], dependencies=[needs(Scope.INFERENCE), Depends(count_request)], route_class=DirectRoute
)

_STREAM = "With `stream`: server-sent events with OpenAI's chunks, then `[DONE]`."
_chat: dict[str, Any] = answer_of(ChatCompletion, _STREAM, ChatCompletionChunk, ErrorBody)
_completion: dict[str, Any] = answer_of(Completion, _STREAM, CompletionChunk, ErrorBody)


@router.post("/v1/chat/completions", **_chat, openapi_extra=body_of(ChatCompletionRequest))
async def chat_completions(
    request: Request,
    services: ServicesDep,
    body: Annotated[ChatCompletionRequest, Depends(JsonBody(ChatCompletionRequest))],
) -> Response:
    """Answer a conversation."""
    return _answer_chat(services, await resolve(request, body.model), body)


@router.post("/v1/completions", **_completion, openapi_extra=body_of(CompletionRequest))
async def completions(
    request: Request,
    services: ServicesDep,
    body: Annotated[CompletionRequest, Depends(JsonBody(CompletionRequest))],
) -> Response:
    """Continue one text, or several at once."""
    return _complete(services, await resolve(request, body.model), body)


@router.post("/models/{model_id:model}/v1/chat/completions", **_chat, openapi_extra=body_of(ChatCompletionBody))
async def chat_completions_of(
    spec: PathModel,
    services: ServicesDep,
    body: Annotated[ChatCompletionBody, Depends(JsonBody(ChatCompletionBody))],
) -> Response:
    """The same for clients whose base URL names the model; what they put into `model` is not read."""
    return _answer_chat(services, spec, body)


@router.post("/models/{model_id:model}/v1/completions", **_completion, openapi_extra=body_of(CompletionBody))
async def completions_of(
    spec: PathModel,
    services: ServicesDep,
    body: Annotated[CompletionBody, Depends(JsonBody(CompletionBody))],
) -> Response:
    """The same for clients whose base URL names the model; what they put into `model` is not read."""
    return _complete(services, spec, body)


def _answer_chat(services: Services, spec: ModelSpec, body: ChatCompletionBody) -> Response:
    params, prompt = body.sampling_params(spec.suggested_temperature), body.prompt()
    run = GenerationRun(services.manager, spec, lambda _: [prompt], params, body.priority or 0, body.keep_alive)
    answer_format = ChatCompletionFormat(includes_usage=body.includes_usage, may_call=prompt.tool_use is not None)
    return GenerationResponse(run, answer_format, is_streamed=bool(body.stream), timing=services.timing)


def _complete(services: Services, spec: ModelSpec, body: CompletionBody) -> Response:
    refuse_too_many(spec, len(body.prompt), "prompt")
    params = body.sampling_params(spec.suggested_temperature)
    run = GenerationRun(
        services.manager, spec, lambda _: list(body.prompt), params, body.priority or 0, body.keep_alive
    )
    answer_format = CompletionFormat(
        includes_usage=body.includes_usage,
        num_choices=body.num_choices,
        is_echoed=bool(body.echo),
        has_logprobs=body.logprobs is not None,
    )
    return GenerationResponse(run, answer_format, is_streamed=bool(body.stream), timing=services.timing)
