"""The OpenAPI document: what FastAPI cannot see of bodies, streams and errors is added to it here."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, TypeAdapter

from hostler import __version__
from hostler.protocol.native_answers import NativeErrorBody, ValidationErrorBody
from hostler.protocol.openai import ErrorBody
from hostler.server.auth import PUBLIC_ROUTES

_REF = "#/components/schemas/{model}"
_ERROR_BODIES: tuple[Any, ...] = (ErrorBody, NativeErrorBody, ValidationErrorBody)
_ANY_ROUTE = {
    400: "The request cannot be done as it stands",
    403: "Not allowed to this caller, or the model is gated",
    500: "A fault of the server",
}
_KEY = {401: "No API key, or not the right one"}
_NAMED_MODEL = {404: "No such model"}
_BODY = {413: "The body is too large"}
_VALIDATION = {422: "A field is missing, malformed or out of range"}
_WORK = {
    429: "Too many requests wait; `Retry-After` says when to try again",
    503: "The model cannot be had at the moment",
}
_bodies: dict[str, type[BaseModel]] = {}


def body_of(model: type[BaseModel], *, is_required: bool = True) -> dict[str, Any]:
    """`openapi_extra` of a route that reads its body with `JsonBody`."""
    _bodies[model.__name__] = model
    return {"requestBody": {"required": is_required, **_json(model)}}


def answer_of(answer: Any, stream: str) -> dict[str, Any]:
    """Arguments of a route that answers with a `GenerationResponse`."""
    events = {"text/event-stream": {"schema": {"type": "string"}}}
    return {"response_model": answer, "responses": {200: {"description": f"The answer. {stream}", "content": events}}}


def install_openapi(app: FastAPI) -> None:
    def build() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _build(app)
        return app.openapi_schema

    app.openapi = build  # type: ignore[method-assign]


def _build(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title="Hostler",
        version=__version__,
        description="Keeps a stable of Hugging Face models behind one HTTP API: natively, and as OpenAI's.",
        routes=app.routes,
    )
    inputs: list[tuple[Any, Any, TypeAdapter[Any]]] = [
        (model, "validation", TypeAdapter(model)) for model in (*_bodies.values(), *_ERROR_BODIES)
    ]
    _, definitions = TypeAdapter.json_schemas(inputs, ref_template=_REF)
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update(definitions["$defs"])
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    document["security"] = [{"bearer": []}, {"header": []}]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _add_errors(path, operation)
    return document


def _add_errors(path: str, operation: dict[str, Any]) -> None:
    is_openai = "/v1/" in path
    errors = dict(_ANY_ROUTE)
    if path in PUBLIC_ROUTES:
        operation["security"] = []
    else:
        errors |= _KEY
    if "requestBody" in operation:
        errors |= _BODY | _WORK | _NAMED_MODEL | ({} if is_openai else _VALIDATION)
    if any(parameter["in"] == "query" for parameter in operation.get("parameters", ())):
        errors |= _VALIDATION
    if "requestBody" not in operation and "{" in path:
        errors |= _NAMED_MODEL
    if path.startswith("/admin/") or path.endswith(("/unload", "}/health")):
        errors |= _WORK
    responses = operation["responses"]
    responses.pop("422", None)
    for status, description in errors.items():
        body = ErrorBody if is_openai else ValidationErrorBody if status == 422 else NativeErrorBody
        responses.setdefault(str(status), {"description": description, **_json(body)})


def _json(model: Any) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": {"$ref": _REF.format(model=model.__name__)}}}}
