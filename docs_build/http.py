"""The page of routes: what each takes, answers and can fail with, from the OpenAPI document."""

import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

from fastapi.routing import iter_route_contexts
from pydantic import BaseModel

from docs_build.application import application
from docs_build.docstrings import field_docstrings, paragraph
from docs_build.markdown import as_json, code, document, table
from docs_build.schemas import in_words
from hostler.server.auth import DOCUMENTATION, PUBLIC_ROUTES, scope_of

_LEAD = """
How the routes behave is told in [The HTTP interface](../api.md), what the codes of errors mean in [Errors](errors.md).
A running server has the same as a document for programs at `GET /openapi.json`, and to try out at `GET /docs`. `null`
is the default of every field that may be left out.
"""
_SUCCESS = "200"


def page() -> str:
    specification = application().openapi()
    schemas = specification["components"]["schemas"]
    routes = [
        part
        for path, operations in specification["paths"].items()
        for method, operation in operations.items()
        for part in _route(method.upper(), path, operation)
    ]
    return document(
        "Routes",
        _LEAD,
        "## Every route",
        table(["route", "scope", "does"], _overview(specification["paths"])),
        "Not in the document, since they are for people: " + ", ".join(_undocumented(specification["paths"])) + ".",
        "## One by one",
        *routes,
        "## Bodies",
        *(part for name in sorted(schemas) for part in _schema(name, schemas[name])),
    )


def _overview(paths: dict[str, Any]) -> Iterator[list[str]]:
    scopes = _scopes()
    for path, operations in paths.items():
        for method, operation in operations.items():
            route = f"{method.upper()} {path}"
            yield [code(route), scopes[route], paragraph(operation.get("description"))]


def _scopes() -> dict[str, str]:
    """By method and path: what a key needs for it."""
    found = {}
    for context in iter_route_contexts(application().routes):
        path = _documented_path(str(context.path))
        scope = scope_of(context)
        is_public = str(context.path) in PUBLIC_ROUTES
        for method in context.methods or ():
            found[f"{method} {path}"] = "none" if is_public or scope is None else code(scope.value)
    return found


def _undocumented(paths: dict[str, Any]) -> list[str]:
    listed = {f"{method.upper()} {path}" for path, operations in paths.items() for method in operations}
    readable = {f"GET {path}" for path in PUBLIC_ROUTES | DOCUMENTATION} - listed
    return [code(route) for route in sorted(readable)]


def _documented_path(path: str) -> str:
    return path.replace(":model}", "}")


def _route(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"### `{method} {path}`"
    yield str(operation.get("description", "")).strip()
    parameters = [each for each in operation.get("parameters", ()) if each["in"] != "path"]
    if parameters:
        rows = (
            [code(each["name"]), each["in"], in_words(each["schema"]), each.get("description", "")]
            for each in parameters
        )
        yield table(["parameter", "in", "values", "meaning"], rows)
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        optional = "" if operation["requestBody"].get("required") else ", which may be left out"
        yield f"Body: {in_words(schema)}{optional}."
    yield f"Answer: {_answer(operation['responses'].get(_SUCCESS, {}))}."
    yield f"Errors: {', '.join(_failures(operation['responses']))}."


def _answer(response: dict[str, Any]) -> str:
    kinds = []
    for media_type, content in response.get("content", {}).items():
        schema = content.get("schema") or {}
        if media_type == "application/json" and schema:
            kinds.append(in_words(schema))
        elif media_type == "text/event-stream":
            events = schema.get("properties", {}).get("data", {}).get("anyOf", ())
            named = [in_words(each["contentSchema"]) for each in events if "contentSchema" in each]
            kinds.append(f"as a stream, events of {' or '.join(named)}")
        else:
            kinds.append(code(media_type))
    return "; ".join(kinds) or "a file"


def _failures(responses: dict[str, Any]) -> Iterator[str]:
    for status, response in responses.items():
        if status.startswith(("4", "5")):
            examples = [
                name for content in response.get("content", {}).values() for name in content.get("examples", {})
            ]
            yield f"{status} ({', '.join(map(code, examples))})" if examples else status


def _schema(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"### {name}"
    if (text := paragraph(schema.get("description"))) and not text.startswith(("!", "dict(")):
        yield text
    properties: dict[str, Any] = schema.get("properties", {})
    if not properties:
        yield in_words({key: value for key, value in schema.items() if key != "description"})
        return
    cls = _classes().get(name)
    texts = {} if cls is None else field_docstrings(cls)
    is_request = cls is not None and issubclass(cls, BaseModel)
    required = set(schema.get("required", ())) if is_request else set()
    yield table(
        ["field", "values", "meaning"],
        (
            [code(field) + (" (needed)" if field in required else ""), in_words(each), _told(each, texts.get(field))]
            for field, each in properties.items()
        ),
    )


def _told(schema: dict[str, Any], text: str | None) -> str:
    told = paragraph(text) or paragraph(schema.get("description"))
    default = schema.get("default")
    return told if default is None else f"{told} Default: {as_json(default)}.".strip()


@cache
def _classes() -> dict[str, type]:
    """What bodies are made of. FastAPI reads no texts of fields: that would take time at every start of a server."""
    modules = [module for name, module in sys.modules.items() if name.startswith("hostler.protocol.")]
    return {name: value for module in modules for name, value in vars(module).items() if isinstance(value, type)}
