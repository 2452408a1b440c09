"""Routes to models that read whole texts: vectors, scores, labels."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from hostler.keys import Scope
from hostler.protocol.embeddings import EmbeddingBody, EmbeddingRequest
from hostler.protocol.pooling_answers import ClassifyAnswer, EmbeddingAnswer, RerankAnswer, ScoreAnswer
from hostler.protocol.ranking import ClassifyBody, ClassifyRequest, RerankBody, RerankRequest, ScoreBody, ScoreRequest
from hostler.registry import ModelSpec
from hostler.server.auth import needs
from hostler.server.direct_route import DirectRoute
from hostler.server.json_body import JsonBody
from hostler.server.model_types import CLASSIFYING, EMBEDDING, SCORING, check_type
from hostler.server.openapi import body_of
from hostler.server.pooled import PooledResponse
from hostler.server.pooling_formats import (
    classify_answer,
    embedding_answer,
    rerank_answer,
    score_answer,
)
from hostler.server.rate_limits import count_request
from hostler.server.services import PathModel, Services, ServicesDep, resolve
from hostler.types import ModelFacts, PoolingOutput

router = APIRouter(
    tags=["embeddings and ranking"],
    dependencies=[needs(Scope.INFERENCE), Depends(count_request)],
    route_class=DirectRoute,
)

_embeddings: dict[str, Any] = {"response_model": EmbeddingAnswer}
_rerank: dict[str, Any] = {"response_model": RerankAnswer}
_score: dict[str, Any] = {"response_model": ScoreAnswer}
_classify: dict[str, Any] = {"response_model": ClassifyAnswer}


@router.post("/v1/embeddings", **_embeddings, openapi_extra=body_of(EmbeddingRequest))
async def embeddings(
    request: Request,
    services: ServicesDep,
    body: Annotated[EmbeddingRequest, Depends(JsonBody(EmbeddingRequest))],
) -> Response:
    """A vector of each text."""
    return _embed(services, await resolve(request, body.model), body)


@router.post("/models/{model_id:model}/v1/embeddings", **_embeddings, openapi_extra=body_of(EmbeddingBody))
async def embeddings_of(
    spec: PathModel, services: ServicesDep, body: Annotated[EmbeddingBody, Depends(JsonBody(EmbeddingBody))]
) -> Response:
    """The same for clients whose base URL names the model; what they put into `model` is not read."""
    return _embed(services, spec, body)


@router.post("/v1/rerank", **_rerank, openapi_extra=body_of(RerankRequest))
async def rerank(
    request: Request, services: ServicesDep, body: Annotated[RerankRequest, Depends(JsonBody(RerankRequest))]
) -> Response:
    """How well each document answers a question, the best first."""
    return _rank(services, await resolve(request, body.model), body)


@router.post("/models/{model_id:model}/v1/rerank", **_rerank, openapi_extra=body_of(RerankBody))
async def rerank_of(
    spec: PathModel, services: ServicesDep, body: Annotated[RerankBody, Depends(JsonBody(RerankBody))]
) -> Response:
    """The same for clients whose base URL names the model; what they put into `model` is not read."""
    return _rank(services, spec, body)


@router.post("/v1/score", **_score, openapi_extra=body_of(ScoreRequest))
async def score(
    request: Request, services: ServicesDep, body: Annotated[ScoreRequest, Depends(JsonBody(ScoreRequest))]
) -> Response:
    """How well the second text of each pair answers the first."""
    return _score_pairs(services, await resolve(request, body.model), body)


@router.post("/models/{model_id:model}/v1/score", **_score, openapi_extra=body_of(ScoreBody))
async def score_of(
    spec: PathModel, services: ServicesDep, body: Annotated[ScoreBody, Depends(JsonBody(ScoreBody))]
) -> Response:
    """The same for clients whose base URL names the model; what they put into `model` is not read."""
    return _score_pairs(services, spec, body)


@router.post("/v1/classify", **_classify, openapi_extra=body_of(ClassifyRequest))
async def classify(
    request: Request, services: ServicesDep, body: Annotated[ClassifyRequest, Depends(JsonBody(ClassifyRequest))]
) -> Response:
    """Which of the model's labels each text has."""
    return _label(services, await resolve(request, body.model), body)


@router.post("/models/{model_id:model}/v1/classify", **_classify, openapi_extra=body_of(ClassifyBody))
async def classify_of(
    spec: PathModel, services: ServicesDep, body: Annotated[ClassifyBody, Depends(JsonBody(ClassifyBody))]
) -> Response:
    """The same for clients whose base URL names the model; what they put into `model` is not read."""
    return _label(services, spec, body)


def _embed(services: Services, spec: ModelSpec, body: EmbeddingBody) -> Response:
    check_type(spec, EMBEDDING, "/v1/embeddings")

    async def spell(output: PoolingOutput, _: ModelFacts) -> EmbeddingAnswer:
        return await embedding_answer(output, spec.id, is_base64=body.encoding_format == "base64")

    return PooledResponse(services, spec, body.input, body.pooling_params(), body.keep_alive, spell)


def _rank(services: Services, spec: ModelSpec, body: RerankBody) -> Response:
    check_type(spec, SCORING, "/v1/rerank")

    async def spell(output: PoolingOutput, _: ModelFacts) -> RerankAnswer:
        return rerank_answer(
            output, spec.id, body.documents, top_n=body.top_n, returns_documents=bool(body.return_documents)
        )

    return PooledResponse(services, spec, body.pairs(), body.pooling_params(), body.keep_alive, spell)


def _score_pairs(services: Services, spec: ModelSpec, body: ScoreBody) -> Response:
    check_type(spec, SCORING, "/v1/score")

    async def spell(output: PoolingOutput, _: ModelFacts) -> ScoreAnswer:
        return score_answer(output, spec.id)

    return PooledResponse(services, spec, body.pairs(), body.pooling_params(), body.keep_alive, spell)


def _label(services: Services, spec: ModelSpec, body: ClassifyBody) -> Response:
    check_type(spec, CLASSIFYING, "/v1/classify")

    async def spell(output: PoolingOutput, facts: ModelFacts) -> ClassifyAnswer:
        assert facts.pooling is not None, "a classifier was loaded as something else"
        return classify_answer(output, spec.id, facts.pooling.labels)

    return PooledResponse(services, spec, body.input, body.pooling_params(), body.keep_alive, spell)
