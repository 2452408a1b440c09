"""Native routes that generate."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from hostler.keys import Scope
from hostler.protocol.native import ChatRequest, GenerateRequest
from hostler.protocol.native_answers import ChatAnswer, GenerateAnswer, GenerateAnswers, StreamedError, StreamedText
from hostler.registry import ModelSpec, Registry
from hostler.server.auth import needs
from hostler.server.direct_route import DirectRoute
from hostler.server.generation import GenerationRun, refuse_too_many
from hostler.server.json_body import JsonBody
from hostler.server.native_formats import ConversationFormat, GenerateFormat, GenerateManyFormat
from hostler.server.openapi import answer_of, body_of
from hostler.server.rate_limits import count_request
from hostler.server.services import PathModel, Services, ServicesDep, VisibleModels, resolve
from hostler.server.streaming import GenerationResponse
from hostler.types import ModelType

router = APIRouter(
    tags=["generation"], dependencies=[needs(Scope.INFERENCE), Depends(count_request)], route_class=DirectRoute
)
GenerateBody = Annotated[GenerateRequest, Depends(JsonBody(GenerateRequest))]
ChatBody = Annotated[ChatRequest, Depends(JsonBody(ChatRequest))]

_STREAM = (
    "With `stream`: server-sent events `{index, text, finish_reason}`, then one with the whole answer, then `[DONE]`."
)
_generate: dict[str, Any] = answer_of(
    GenerateAnswer | GenerateAnswers, _STREAM, StreamedText, GenerateAnswer, GenerateAnswers, StreamedError
) | {"openapi_extra": body_of(GenerateRequest)}
_chat: dict[str, Any] = answer_of(ChatAnswer, _STREAM, StreamedText, ChatAnswer, StreamedError) | {
    "openapi_extra": body_of(ChatRequest)
}


@router.post("/models/{model_id:model}/generate", **_generate)
async def generate_with(spec: PathModel, services: ServicesDep, body: GenerateBody) -> Response:
    """Continue a text, or several; for an encoder–decoder model, answer them."""
    return _generate_with(services, spec, body)


@router.post("/generate", **_generate)
async def generate(request: Request, services: ServicesDep, visible: VisibleModels, body: GenerateBody) -> Response:
    """The same with the first registered model of type text."""
    return _generate_with(services, await _first(request, visible, ModelType.TEXT), body)


@router.post("/models/{model_id:model}/chat", **_chat)
async def chat_with(spec: PathModel, services: ServicesDep, body: ChatBody) -> Response:
    """Answer one message of a conversation."""
    return _chat_with(services, spec, body)


@router.post("/chat", **_chat)
async def chat(request: Request, services: ServicesDep, visible: VisibleModels, body: ChatBody) -> Response:
    """The same with the first registered model of type conversational."""
    return _chat_with(services, await _first(request, visible, ModelType.CONVERSATIONAL), body)


async def _first(request: Request, visible: list[ModelSpec], model_type: ModelType) -> ModelSpec:
    return await resolve(request, Registry({spec.id: spec for spec in visible}).first_of_type(model_type).id)


def _generate_with(services: Services, spec: ModelSpec, body: GenerateRequest) -> Response:
    params = body.sampling_params(spec.default_max_length)
    prompts = body.prompts()
    refuse_too_many(spec, len(prompts), "texts")
    run = GenerationRun(services.manager, spec, lambda _: list(prompts), params, body.priority or 0, body.keep_alive)
    answer_format = GenerateFormat() if body.texts is None else GenerateManyFormat()
    return GenerationResponse(run, answer_format, is_streamed=bool(body.stream), timing=services.timing)


def _chat_with(services: Services, spec: ModelSpec, body: ChatRequest) -> Response:
    answer_format = ConversationFormat(body.turns())
    params = body.sampling_params(spec.suggested_temperature)
    run = GenerationRun(services.manager, spec, answer_format.prompts_for, params, body.priority or 0, body.keep_alive)
    return GenerationResponse(run, answer_format, is_streamed=bool(body.stream), timing=services.timing)
