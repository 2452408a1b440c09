"""The OpenAPI document: what FastAPI cannot see of bodies, streams and errors is added to it here."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, TypeAdapter

from hostler import __version__
from hostler.server.auth import PUBLIC_ROUTES
from hostler.server.documented_errors import ERROR_BODIES, add_errors
from hostler.server.openapi_examples import field_example, stream_example

_REF = "#/components/schemas/{model}"
_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
"""Pydantic leaves its own names in the schema of a field with a validator before its bounds."""
_HEADERS = {
    "x-request-id": "The id of the request in the log: the caller's own, if it sent a well-formed one.",
    "openai-processing-ms": "Milliseconds until the answer began.",
}
_bodies: dict[str, type[BaseModel]] = {}
_events: dict[str, Any] = {}


def body_of(model: type[BaseModel], *, is_required: bool = True) -> dict[str, Any]:
    """`openapi_extra` of a route that reads its body with `JsonBody`."""
    _bodies[model.__name__] = model
    schema: dict[str, Any] = {"$ref": _REF.format(model=model.__name__)}
    if not is_required:
        schema = {"anyOf": [schema, {"type": "null"}]}
    return {"requestBody": {"required": is_required, "content": {"application/json": {"schema": schema}}}}


def answer_of(answer: Any, stream: str, *events: Any, ends: bool = True) -> dict[str, Any]:
    """Arguments of a route that also answers with a stream of such events; `ends`: with `[DONE]`."""
    _events.update({event.__name__: event for event in events})
    data: list[dict[str, Any]] = [
        {"contentMediaType": "application/json", "contentSchema": {"$ref": _REF.format(model=event.__name__)}}
        for event in events
    ]
    if ends:
        data.append({"const": "[DONE]"})
    fields = {
        "data": {"type": "string", "anyOf": data},
        "event": {"type": "string"},
        "id": {"type": "string"},
    }
    media_type = {
        "schema": {"type": "object", "description": "Each event", "properties": fields, "required": ["data"]},
        "example": stream_example([event.__name__ for event in events], ends=ends),
    }
    response = {"description": f"The answer. {stream}", "content": {"text/event-stream": media_type}}
    return {"response_model": answer, "responses": {200: response}}


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
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas.update(_definitions([*_events.values(), *ERROR_BODIES], "serialization"))
    schemas.update(_request_definitions())
    components["headers"] = {
        name: {"description": text, "schema": {"type": "string"}} for name, text in _HEADERS.items()
    }
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    document["security"] = [{"bearer": []}, {"header": []}]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _complete(path, operation, schemas)
    return document


def _definitions(models: list[Any], mode: Any) -> dict[str, Any]:
    _, definitions = TypeAdapter.json_schemas(
        [(model, mode, TypeAdapter(model)) for model in models], ref_template=_REF
    )
    found: dict[str, Any] = definitions["$defs"]
    return found


def _request_definitions() -> dict[str, Any]:
    definitions = _definitions(list(_bodies.values()), "validation")
    for name, schema in definitions.items():
        for node in _nodes(schema):
            for own, spelled in _BOUNDS.items():
                if own in node:
                    node[spelled] = node.pop(own)
        for field, described in schema.get("properties", {}).items():
            if (example := field_example(name, field)) is not None:
                described["examples"] = [example]
    return definitions


def _nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema inside a schema, itself included."""
    if isinstance(schema, dict):
        yield schema
    children = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    for child in list(children):
        yield from _nodes(child)


def _complete(path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    if path in PUBLIC_ROUTES:
        operation["security"] = []
    for parameter in operation.get("parameters", ()):
        if (example := field_example("", parameter["name"])) is not None:
            parameter["example"] = example
    if "requestBody" in operation:
        media_type = operation["requestBody"]["content"]["application/json"]
        media_type["example"] = _body_example(media_type["schema"], schemas)
    add_errors(path, operation)
    for response in operation["responses"].values():
        named = {name: {"$ref": f"#/components/headers/{name}"} for name in _HEADERS}
        response["headers"] = {**named, **response.get("headers", {})}


def _body_example(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """The fields that must be there, of alternatives the first; the others have examples of their own."""
    reference = schema.get("$ref") or schema["anyOf"][0]["$ref"]
    body = schemas[reference.rpartition("/")[2]]
    alternatives = body.get("oneOf", [{}])
    required = [*body.get("required", ()), *alternatives[0].get("required", ())]
    return {name: body["properties"][name].get("examples", [None])[0] for name in required}
