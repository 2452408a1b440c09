"""The native route that asks several models at once."""

from collections import Counter
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from hostler.errors import InvalidRequestError
from hostler.keys import Scope
from hostler.protocol.compare import CompareRequest
from hostler.protocol.model_answers import CompareAnswer, ComparedAnswer, ComparedText
from hostler.registry import ModelSpec
from hostler.server.auth import needs
from hostler.server.comparison import CompareResponse
from hostler.server.direct_route import DirectRoute
from hostler.server.generation import GenerationRun
from hostler.server.json_body import JsonBody
from hostler.server.openapi import answer_of, body_of
from hostler.server.rate_limits import count_request
from hostler.server.services import Services, ServicesDep, resolve

router = APIRouter(
    tags=["generation"], dependencies=[needs(Scope.INFERENCE), Depends(count_request)], route_class=DirectRoute
)

_STREAM = (
    "With `stream`: server-sent events `{model_id, text, finish_reason}` of all models, and for each one with its whole"
    " answer or its error; then `[DONE]`."
)
_compare: dict[str, Any] = answer_of(CompareAnswer, _STREAM, ComparedText, ComparedAnswer) | {
    "openapi_extra": body_of(CompareRequest)
}


@router.post("/compare", **_compare)
async def compare(
    request: Request, services: ServicesDep, body: Annotated[CompareRequest, Depends(JsonBody(CompareRequest))]
) -> Response:
    """Ask several models the same, at once; each is loaded as soon as there is room for it."""
    specs = [await resolve(request, name) for name in body.models]
    model_ids = [spec.id for spec in specs]
    if twice := [model_id for model_id, count in Counter(model_ids).items() if count > 1]:
        raise InvalidRequestError(f"models names {twice[0]!r} more than once; name each model once", param="models")
    request.state.model_id = ",".join(model_ids)
    runs = [_run(services, spec, body) for spec in specs]
    return CompareResponse(runs, is_streamed=bool(body.stream), timing=services.timing)


def _run(services: Services, spec: ModelSpec, body: CompareRequest) -> GenerationRun:
    params = body.sampling_params(spec.default_max_length, spec.suggested_temperature)
    return GenerationRun(services.manager, spec, lambda _: [body.prompt()], params, body.priority or 0, body.keep_alive)
