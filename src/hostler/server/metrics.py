"""`/metrics`, as Prometheus reads it."""

from fastapi import APIRouter, Depends
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from hostler.errors import NotFoundError
from hostler.keys import Scope
from hostler.server.auth import needs, refuse_if_some_models
from hostler.server.services import ServicesDep

router = APIRouter(tags=["system"], dependencies=[needs(Scope.READ), Depends(refuse_if_some_models)])


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"description": "Prometheus' text format", "content": {"text/plain": {"schema": {"type": "string"}}}},
        404: {"description": "`enable_metrics` is false"},
    },
)
async def metrics(services: ServicesDep) -> Response:
    """What is measured: requests and their tokens and times, memory, loads and departures, and what engines do."""
    if services.metrics is None:
        raise NotFoundError("there are no metrics; set enable_metrics: true and start again")
    return Response(await services.metrics.scrape(), media_type=CONTENT_TYPE_LATEST)
