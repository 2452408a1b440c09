"""Anthropic's routes, but for those that are OpenAI's too: `hostler.server.listed_models` has them."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from hostler.engine_client import EngineClient
from hostler.keys import Scope
from hostler.protocol import anthropic_answers
from hostler.protocol.anthropic import CountTokensRequest, MessagesRequest
from hostler.protocol.anthropic_answers import AnthropicMessage, TokensCount
from hostler.server.anthropic_errors import request_id_of
from hostler.server.anthropic_formats import MessagesFormat
from hostler.server.auth import needs
from hostler.server.direct_route import DirectRoute
from hostler.server.generation import GenerationRun
from hostler.server.json_body import JsonBody
from hostler.server.leased import ask_leased
from hostler.server.named_events import NamedEventResponse
from hostler.server.openapi import answer_of, body_of
from hostler.server.rate_limits import count_request
from hostler.server.request_context import current
from hostler.server.services import ServicesDep, resolve


async def name_request(request: Request) -> None:
    """A dependency: Anthropic's clients look for the id of a request under a name of their own."""
    request.state.answer_headers["request-id"] = request_id_of(request.scope)


router = APIRouter(
    route_class=DirectRoute,
    tags=["Anthropic"],
    dependencies=[needs(Scope.INFERENCE), Depends(name_request), Depends(count_request)],
)

_STREAM = "With `stream`: server-sent events, each named as the `type` in its data; `message_stop` is the last."
_messages: dict[str, Any] = answer_of(AnthropicMessage, _STREAM, *anthropic_answers.STREAM_EVENTS, ends=False)


@router.post("/v1/messages", **_messages, openapi_extra=body_of(MessagesRequest))
async def create_message(
    request: Request,
    services: ServicesDep,
    body: Annotated[MessagesRequest, Depends(JsonBody(MessagesRequest))],
) -> Response:
    """Answer a conversation."""
    spec = await resolve(request, body.model)
    prompt = body.prompt()
    params = body.sampling_params(spec.suggested_temperature)
    run = GenerationRun(services.manager, spec, lambda _: [prompt], params, body.priority or 0, body.keep_alive)
    answer_format = MessagesFormat(
        max_tokens=body.max_tokens, shows_thinking=body.shows_thinking, request_id=request_id_of(request.scope)
    )
    return NamedEventResponse(run, answer_format, is_streamed=bool(body.stream), timing=services.timing)


@router.post("/v1/messages/count_tokens", response_model=TokensCount, openapi_extra=body_of(CountTokensRequest))
async def count_tokens(
    request: Request,
    services: ServicesDep,
    body: Annotated[CountTokensRequest, Depends(JsonBody(CountTokensRequest))],
) -> Response:
    """How many tokens a conversation has as a prompt. Nothing is generated."""
    spec = await resolve(request, body.model)
    prompt = body.prompt()

    async def ask(engine: EngineClient) -> TokensCount:
        return TokensCount(input_tokens=len(await engine.tokenize(prompt, caller=current().caller)))

    return ask_leased(services, spec, ask, body.keep_alive)
