"""OpenAI's newer route for conversations. Nothing of them is stored."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from hostler.keys import Scope
from hostler.protocol import responses_answers
from hostler.protocol.responses import ResponsesRequest
from hostler.server.auth import needs
from hostler.server.direct_route import DirectRoute
from hostler.server.generation import GenerationRun
from hostler.server.json_body import JsonBody
from hostler.server.named_events import NamedEventResponse
from hostler.server.openapi import answer_of, body_of
from hostler.server.rate_limits import count_request
from hostler.server.responses_formats import ResponsesFormat
from hostler.server.services import ServicesDep, resolve

router = APIRouter(
    tags=["OpenAI"], dependencies=[needs(Scope.INFERENCE), Depends(count_request)], route_class=DirectRoute
)

_STREAM = "With `stream`: server-sent events, each named as the `type` in its data; the last one has the whole answer."
_responses: dict[str, Any] = answer_of(
    responses_answers.Response, _STREAM, *responses_answers.STREAM_EVENTS, ends=False
)


@router.post("/v1/responses", **_responses, openapi_extra=body_of(ResponsesRequest))
async def create_response(
    request: Request,
    services: ServicesDep,
    body: Annotated[ResponsesRequest, Depends(JsonBody(ResponsesRequest))],
) -> Response:
    """Answer a conversation, which is sent whole each time."""
    spec = await resolve(request, body.model)
    prompt = body.prompt()
    params = body.sampling_params(spec.suggested_temperature)
    run = GenerationRun(services.manager, spec, lambda _: [prompt], params, body.priority or 0, body.keep_alive)
    return NamedEventResponse(run, ResponsesFormat(body), is_streamed=bool(body.stream), timing=services.timing)
