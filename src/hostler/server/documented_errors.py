"""Which errors each route can answer with, for the OpenAPI document: classes; the rest follows from the one table."""

from collections.abc import Iterable, Iterator
from typing import Any

from hostler import errors
from hostler.errors import HostlerError
from hostler.protocol.anthropic_answers import AnthropicError
from hostler.protocol.native_answers import NativeErrorBody, ValidationErrorBody
from hostler.protocol.openai import ErrorBody
from hostler.server.anthropic_errors import (
    OVERLOADED,
    anthropic_body,
    anthropic_status,
    is_anthropic_path,
    is_shared_path,
)
from hostler.server.auth import PUBLIC_ROUTES
from hostler.server.errors import native_body, openai_body, row_for

Classes = tuple[type[HostlerError], ...]

ERROR_BODIES = (AnthropicError, ErrorBody, NativeErrorBody, ValidationErrorBody)

_ANY_ROUTE: Classes = (errors.InvalidRequestError, errors.PermissionDeniedError, errors.HostlerError)
"""The first of a malformed `Host`, the second of one that is not the server's, or of a page elsewhere."""
_WITH_KEY: Classes = (errors.AuthenticationError, errors.ShuttingDownError, errors.DeadlineError)
_OF_MODEL: Classes = (errors.ModelNotFoundError, errors.GatedModelError, errors.ModelLoadError)
"""The last two where the hub is asked for a model that is not registered."""
_OF_OTHERS: Classes = (errors.NotFoundError,)
"""Of what is neither a model nor always there."""
_WITH_BODY: Classes = (errors.RequestTooLargeError, errors.UnsupportedParameterError)
_OF_FILE: Classes = (errors.ConfigError,)
_OF_WORKER: Classes = (errors.EngineDeadError, errors.EngineRequestError, errors.ServiceError)
_OF_WORK: Classes = (
    errors.ContextLengthError,
    errors.ModelTooLargeError,
    errors.QueueFullError,
    errors.RateLimitError,
    errors.ModelNotLoadedError,
    errors.ModelUnloadedError,
    errors.WaitTimeoutError,
    *_OF_MODEL,
    *_OF_WORKER,
)
"""Of whatever asks a model for something."""

_VALIDATION_EXAMPLE = {
    "detail": [
        {
            "type": "greater_than_equal",
            "loc": ["body", "temperature"],
            "msg": "Input should be greater than or equal to 0, not -1",
            "input": -1,
        }
    ]
}


def add_errors(path: str, operation: dict[str, Any]) -> None:
    """Document every error of an operation. What its route says of a status stands; FastAPI's own 422 does not."""
    is_openai = "/v1/" in path
    responses = operation["responses"]
    responses.pop("422", None)
    has_query = any(parameter["in"] == "query" for parameter in operation.get("parameters", ()))
    if not is_openai and ("requestBody" in operation or has_query):
        responses["422"] = {
            "description": "A field is missing, malformed or out of range",
            "content": _content([ValidationErrorBody], {"invalid": _VALIDATION_EXAMPLE}),
        }
    by_status: dict[int, list[type[HostlerError]]] = {}
    for cls in dict.fromkeys(_classes_of(path, operation)):
        status = row_for(cls("")).status
        own = set() if is_anthropic_path(path) else {status}
        anthropics = {anthropic_status(status)} if is_anthropic_path(path) or is_shared_path(path) else set()
        for told in own | anthropics:
            by_status.setdefault(told, []).append(cls)
    for status, classes in sorted(by_status.items()):
        responses[str(status)] = _response(path, status, classes) | responses.get(str(status), {})


def _classes_of(path: str, operation: dict[str, Any]) -> Iterator[type[HostlerError]]:
    yield from _ANY_ROUTE
    if path not in PUBLIC_ROUTES:
        yield from _WITH_KEY
    if "{model_id}" in path:
        yield from _OF_MODEL
    if "{model_type}" in path or path == "/metrics":
        yield from _OF_OTHERS
    if "requestBody" in operation:
        yield from _WITH_BODY
    if path == "/admin/reload-config":
        yield from _OF_FILE
    elif path.startswith("/admin/") or path.endswith("/unload"):
        yield from _OF_WORKER
    elif "requestBody" in operation or path.endswith(("}/health", "/plan", "/tokenizer_info")):
        yield from _OF_WORK


def _example(path: str, status: int, error: HostlerError) -> AnthropicError | ErrorBody | NativeErrorBody:
    if is_anthropic_path(path):
        return anthropic_body(error, status, "8f14e45fceea167a")
    return openai_body(error) if "/v1/" in path else native_body(error)


def _bodies(path: str) -> list[type[Any]]:
    if is_shared_path(path):
        return [ErrorBody, AnthropicError]
    return [AnthropicError if is_anthropic_path(path) else ErrorBody if "/v1/" in path else NativeErrorBody]


def _response(path: str, status: int, classes: Iterable[type[HostlerError]]) -> dict[str, Any]:
    told = {cls.code: (cls.__doc__ or "").strip().splitlines()[0] for cls in classes}
    examples = {cls.code: _example(path, status, cls(told[cls.code])) for cls in classes}
    bodies = _bodies(path)
    response: dict[str, Any] = {
        "description": "  \n".join(f"`{code}`: {text}" for code, text in told.items()),
        "content": _content(bodies, examples),
    }
    if status in (429, 503, OVERLOADED):
        description = "Seconds after which to try again; there where that can be told, and never more than 120."
        response["headers"] = {"retry-after": {"description": description, "schema": {"type": "integer", "minimum": 1}}}
    return response


def _content(bodies: list[type[Any]], examples: dict[str, Any]) -> dict[str, Any]:
    shown = {name: {"value": value} for name, value in examples.items()}
    references = [{"$ref": f"#/components/schemas/{body.__name__}"} for body in bodies]
    schema = references[0] if len(references) == 1 else {"anyOf": references}
    return {"application/json": {"schema": schema, "examples": shown}}
