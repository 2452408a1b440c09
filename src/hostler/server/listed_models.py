"""`/v1/models`, as OpenAI has it, and as Anthropic does for its clients."""

from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Depends, Header, Query, Request
from starlette.responses import Response

from hostler.keys import Scope
from hostler.protocol.anthropic_models import UNKNOWN_DATE, AnthropicModel, AnthropicModels, page_of
from hostler.protocol.openai import Model, ModelList
from hostler.registry import ModelSpec
from hostler.server.anthropic_errors import is_anthropic_client, request_id_of
from hostler.server.auth import needs
from hostler.server.services import PathModel, Services, ServicesDep, VisibleModels

router = APIRouter(tags=["OpenAI", "Anthropic"], dependencies=[needs(Scope.READ)])

MAX_LIMIT = 1000
USUAL_LIMIT = 20
"""Anthropic's."""

Lifecycle = Literal["active", "deprecated", "retired"]
AnthropicVersion = Annotated[
    str | None, Header(description="Any: the answer has Anthropic's form, and the query counts.")
]


class PageQuery:
    """Which of the models, in Anthropic's form."""

    def __init__(
        self,
        after_id: Annotated[str | None, Query(description="Those after this one.")] = None,
        before_id: Annotated[str | None, Query(description="Those before this one.")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="At most so many.")] = USUAL_LIMIT,
        lifecycle: Annotated[
            list[Lifecycle] | None, Query(alias="lifecycle[]", description="All that there are, are `active`.")
        ] = None,
    ) -> None:
        self.after_id = after_id
        self.before_id = before_id
        self.limit = limit
        self.has_active = not lifecycle or "active" in lifecycle


@router.get("/v1/models", response_model=ModelList | AnthropicModels)
async def list_models(
    request: Request,
    services: ServicesDep,
    visible: VisibleModels,
    asked: Annotated[PageQuery, Depends()],
    anthropic_version: AnthropicVersion = None,  # noqa: ARG001 - for the document
) -> Response:
    """Every registered model that the key is for; to Anthropic's clients, a page of them."""
    if is_anthropic_client(request.scope):
        return _answer(request, _page(visible, asked))
    return _answer(request, ModelList(object="list", data=[_model(services, spec) for spec in visible]))


@router.get("/v1/models/{model_id:model}", response_model=Model | AnthropicModel)
async def describe_model(
    request: Request,
    spec: PathModel,
    services: ServicesDep,
    anthropic_version: AnthropicVersion = None,  # noqa: ARG001 - for the document
) -> Response:
    """One registered model."""
    is_anthropic = is_anthropic_client(request.scope)
    return _answer(request, _anthropic_model(spec) if is_anthropic else _model(services, spec))


def _answer(request: Request, answer: ModelList | Model | AnthropicModels | AnthropicModel) -> Response:
    """The form depends on a header, which caches in between have to know."""
    headers = {"vary": "anthropic-version"}
    if is_anthropic_client(request.scope):
        headers["request-id"] = request_id_of(request.scope)
    return Response(msgspec.json.encode(answer), headers=headers, media_type="application/json")


def _model(services: Services, spec: ModelSpec) -> Model:
    owner, slash, _ = spec.name.partition("/")
    return Model(id=spec.id, object="model", created=services.started_at, owned_by=owner if slash else "huggingface")


def _page(visible: list[ModelSpec], asked: PageQuery) -> AnthropicModels:
    specs = {spec.id: spec for spec in visible if asked.has_active}
    page = page_of(list(specs), after_id=asked.after_id, before_id=asked.before_id, limit=asked.limit)
    return AnthropicModels(
        data=[_anthropic_model(specs[model_id]) for model_id in page.ids],
        first_id=page.ids[0] if page.ids else None,
        last_id=page.ids[-1] if page.ids else None,
        has_more=page.has_more,
    )


def _anthropic_model(spec: ModelSpec) -> AnthropicModel:
    return AnthropicModel(
        type="model",
        id=spec.id,
        display_name=spec.name,
        created_at=UNKNOWN_DATE,
        lifecycle="active",
        max_input_tokens=spec.max_length,
        max_tokens=None,
        capabilities=None,
        deprecated_at=None,
        line=None,
        retires_at=None,
    )
