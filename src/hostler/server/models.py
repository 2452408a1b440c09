"""Native routes about models: what there is, load, unload."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.responses import Response

from hostler.errors import NotFoundError
from hostler.keys import Scope
from hostler.protocol.native import LoadRequest, UnloadRequest
from hostler.protocol.native_answers import (
    GatedModels,
    LoadAnswer,
    LoadedModels,
    MessageAnswer,
    ModelDetails,
    ModelRow,
    ModelsOfType,
)
from hostler.server.auth import needs
from hostler.server.connected import AwaitedResponse
from hostler.server.json_body import JsonBody
from hostler.server.model_rows import auth_status, gated_ids, loaded_among, model_details, model_row
from hostler.server.openapi import body_of
from hostler.server.services import PathModel, ServicesDep, VisibleModels
from hostler.types import ModelType


class ModelNameConvertor(StringConvertor):
    """A model in a path: an id, or a Hugging Face name with its slash, written as `/` or `%2F`."""

    regex = "[^/]+(?:/[^/]+)?"


register_url_convertor("model", ModelNameConvertor())

router = APIRouter(tags=["models"], dependencies=[needs(Scope.READ)])
_load_body = JsonBody(LoadRequest, may_be_empty=True)
_unload_body = JsonBody(UnloadRequest, may_be_empty=True)


async def _is_forced(
    body: Annotated[UnloadRequest, Depends(_unload_body)],
    force: Annotated[bool, Query(description="The same as `force` in the body.")] = False,
) -> bool:
    return force or bool(body.force)


Forced = Annotated[bool, Depends(_is_forced)]
"""Whether running requests are not waited for. In the body, or in the query."""
unload_body = body_of(UnloadRequest, is_required=False)


@router.get("/models")
async def list_models(services: ServicesDep, visible: VisibleModels) -> dict[str, ModelRow]:
    """Every registered model that the key is for, by id."""
    return {spec.id: model_row(services, spec) for spec in visible}


@router.get("/models/loaded")
async def list_loaded(services: ServicesDep, visible: VisibleModels) -> LoadedModels:
    """The models in memory."""
    return LoadedModels(loaded_models=loaded_among(services, visible))


@router.get("/models/gated")
async def list_gated(services: ServicesDep, visible: VisibleModels) -> GatedModels:
    """The models whose repositories ask for a token, and how that stands."""
    return GatedModels(
        gated_models=gated_ids(visible),
        auth_status=await auth_status(services, visible),
        models_detail={spec.id: model_row(services, spec) for spec in visible if spec.gated},
    )


@router.get("/models/types/{model_type}")
async def list_type(model_type: str, visible: VisibleModels) -> ModelsOfType:
    """The models of one type."""
    ids = [spec.id for spec in visible if spec.type.value == model_type]
    if not ids:
        known = ", ".join(kind.value for kind in ModelType)
        raise NotFoundError(f"no model of type {model_type[:100]!r} is registered; the types are {known}")
    return ModelsOfType(model_type=model_type, models=ids)


@router.get("/models/{model_id:model}/info")
async def describe(spec: PathModel, services: ServicesDep) -> ModelDetails:
    """One model, with what is known of it while it is loaded."""
    return model_details(services, spec)


@router.post(
    "/models/{model_id:model}/load",
    response_model=LoadAnswer,
    openapi_extra=body_of(LoadRequest, is_required=False),
    dependencies=[needs(Scope.ADMIN)],
)
async def load(spec: PathModel, services: ServicesDep, body: Annotated[LoadRequest, Depends(_load_body)]) -> Response:
    """Load a model and wait until it is ready. Who hangs up waits no more; a load that has begun goes on."""

    async def answer() -> LoadAnswer:
        force_reload = bool(body.force_reload)
        await services.manager.load(
            spec, force_reload=force_reload, keep_alive_s=body.keep_alive, is_pinned=body.pinned
        )
        return LoadAnswer(message=f"Model {spec.id} is loaded", model_id=spec.id, force_reload=force_reload)

    return AwaitedResponse(answer)


@router.post("/models/{model_id:model}/unload", openapi_extra=unload_body, dependencies=[needs(Scope.ADMIN)])
async def unload(spec: PathModel, services: ServicesDep, force: Forced) -> MessageAnswer:
    """Unload a model once its running requests are done, or at once with `force`."""
    was_loaded = await services.manager.unload(spec.id, force=force)
    return MessageAnswer(message=f"Model {spec.id} {'is unloaded' if was_loaded else 'was not loaded'}")
