"""The one table from errors to HTTP, and both bodies; errors inside a stream use it as well."""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from hostler import errors
from hostler.errors import HostlerError
from hostler.protocol.anthropic_answers import AnthropicError
from hostler.protocol.native_answers import NativeErrorBody, ValidationErrorBody
from hostler.protocol.openai import Error, ErrorBody
from hostler.server.anthropic_errors import (
    anthropic_body,
    anthropic_status,
    is_anthropic_client,
    is_anthropic_path,
    is_shared_path,
    request_id_of,
)

logger = logging.getLogger(__name__)

MAX_RETRY_AFTER_S = 120
"""OpenAI's clients do not wait longer but give up; asked too early, they are told again how long."""


@dataclass(frozen=True)
class Row:
    """How one class of errors looks to a client."""

    status: int
    retry_after_s: float | None = None
    """When to try again, where the error itself does not say."""


TABLE: dict[type[HostlerError], Row] = {
    errors.HostlerError: Row(500),
    errors.ConfigError: Row(400),
    errors.RequestError: Row(400),
    errors.InvalidRequestError: Row(400),
    errors.UnsupportedParameterError: Row(400),
    errors.ContextLengthError: Row(400),
    errors.RequestTooLargeError: Row(413),
    errors.AuthenticationError: Row(401),
    errors.PermissionDeniedError: Row(403),
    errors.NotFoundError: Row(404),
    errors.ModelNotFoundError: Row(404),
    errors.MethodNotAllowedError: Row(405),
    errors.GatedModelError: Row(403),
    errors.ModelTooLargeError: Row(400),
    errors.ServiceError: Row(503),
    errors.ModelLoadError: Row(503),
    errors.ModelNotLoadedError: Row(503),
    errors.ModelUnloadedError: Row(503),
    errors.QueueFullError: Row(429),
    errors.RateLimitError: Row(429),
    errors.WaitTimeoutError: Row(503),
    errors.DeadlineError: Row(504),
    errors.EngineDeadError: Row(503, retry_after_s=1.0),
    errors.EngineRequestError: Row(500),
    errors.ShuttingDownError: Row(503),
}


def row_for(error: HostlerError) -> Row:
    """The row of the nearest class that has one."""
    return next(TABLE[cls] for cls in type(error).__mro__ if cls in TABLE)


_OF_ONE_MODEL = (
    *("/v1/chat/completions", "/v1/completions"),
    *("/v1/embeddings", "/v1/rerank", "/v1/score", "/v1/classify"),
)
"""Ends of the paths that name a model; the model's own name may have anything in it."""


def is_anthropic(scope: Scope) -> bool:
    """Whether a path belongs to Anthropic's interface, or to both and the client is Anthropic's."""
    path = _path_of(scope)
    return is_anthropic_path(path) or (is_shared_path(path) and is_anthropic_client(scope))


def _path_of(scope: Scope) -> str:
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    return path


def is_openai(scope: Scope) -> bool:
    """Whether a path belongs to OpenAI's interface; decides the form of a body and nothing else."""
    path = _path_of(scope)
    return not is_anthropic(scope) and (
        path == "/v1" or path.startswith("/v1/") or (path.startswith("/models/") and path.endswith(_OF_ONE_MODEL))
    )


def translate(exc: Exception, scope: Scope) -> HostlerError:
    """What a caller is told of any exception. One that nobody foresaw goes into the log, and its text nowhere else."""
    if isinstance(exc, HostlerError):
        return exc
    if isinstance(exc, RequestValidationError):
        return _first_problem(exc)
    if isinstance(exc, HTTPException) and exc.status_code == 404:
        return errors.NotFoundError(f"nothing is found at {scope['path'][:200]}; GET /openapi.json lists every path")
    if isinstance(exc, HTTPException) and exc.status_code == 405:
        return errors.MethodNotAllowedError(f"{scope['method'][:20]} is not possible at {scope['path'][:200]}")
    request_id = scope.get("state", {}).get("request_id", "-")
    logger.error("unexpected_error request_id=%s", request_id, exc_info=exc)
    return HostlerError(f"an unexpected error; the server's log has it under request id {request_id}")


def openai_body(error: HostlerError) -> ErrorBody:
    return ErrorBody(error=Error(message=error.message, type=error.type, param=error.param, code=error.code))


def native_body(error: HostlerError) -> NativeErrorBody:
    return NativeErrorBody(detail=error.message, code=error.code)


def error_response(exc: Exception, scope: Scope) -> Response:
    """The answer to a request that failed before its answer began."""
    error = translate(exc, scope)
    scope.setdefault("state", {})["error_code"] = error.code
    status = row_for(error).status
    headers = dict(exc.headers or {}) if isinstance(exc, HTTPException) else {}
    body: ErrorBody | NativeErrorBody | ValidationErrorBody | AnthropicError = native_body(error)
    if is_anthropic(scope):
        status, headers["request-id"] = anthropic_status(status), request_id_of(scope)
        body = anthropic_body(error, status, headers["request-id"])
    elif is_openai(scope):
        body = openai_body(error)
    elif isinstance(exc, RequestValidationError):
        status = 422
        body = ValidationErrorBody(detail=list(exc.errors()))
    return Response(
        msgspec.json.encode(body), status, headers={**headers, **_headers(error)}, media_type="application/json"
    )


def install_handlers(app: FastAPI) -> None:
    """Let every error of every route end in `error_response`. What gets past these, `RequestRecorder` catches."""

    async def handle(request: Request, exc: Exception) -> Response:
        gate = request.app.state.services.gate
        if isinstance(exc, HTTPException) and (refusal := gate.refusal(request)) is not None:
            exc = refusal  # which paths and methods there are is told to callers with a key
        return error_response(exc, request.scope)

    for kind in (HostlerError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, handle)


def _headers(error: HostlerError) -> Mapping[str, str]:
    headers: dict[str, str] = {}
    retry_after_s = row_for(error).retry_after_s if error.retry_after_s is None else error.retry_after_s
    if retry_after_s is not None:
        headers["retry-after"] = str(min(MAX_RETRY_AFTER_S, max(1, math.ceil(retry_after_s))))
    if not error.retryable:
        headers["x-should-retry"] = "false"
    if isinstance(error, errors.AuthenticationError):
        headers["www-authenticate"] = "Bearer"
    return headers


def _first_problem(exc: RequestValidationError) -> HostlerError:
    problem: Mapping[str, Any] = exc.errors()[0]
    path = [part for part in problem["loc"] if part != "body"]
    if not path:
        return errors.InvalidRequestError(problem["msg"])
    shown = str(path[0]) + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path[1:])
    return errors.InvalidRequestError(f"{shown}: {problem['msg']}", param=str(path[0]))
