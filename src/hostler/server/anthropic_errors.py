"""Errors as Anthropic's interface has them: its statuses, and its body."""

from typing import Final

from starlette.types import Scope

from hostler.errors import HostlerError
from hostler.protocol.anthropic_answers import (
    AnthropicError,
    AnthropicErrorObject,
    AnthropicErrorType,
    ErrorDetails,
)

OVERLOADED: Final = 529
"""Its status for what may succeed later: the others' 503."""

_TYPES: dict[int, AnthropicErrorType] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    OVERLOADED: "overloaded_error",
}
"""By status; all others are `invalid_request_error`."""


def is_anthropic_path(path: str) -> bool:
    return path == "/v1/messages" or path.startswith("/v1/messages/")


def is_anthropic_client(scope: Scope) -> bool:
    """By the header that Anthropic's clients always send. It counts where a path is OpenAI's and Anthropic's."""
    return any(name == b"anthropic-version" for name, _ in scope["headers"])


def is_shared_path(path: str) -> bool:
    return path == "/v1/models" or path.startswith("/v1/models/")


def anthropic_status(status: int) -> int:
    """`status`: what the other routes answer with."""
    return OVERLOADED if status == 503 else status


def anthropic_body(error: HostlerError, status: int, request_id: str) -> AnthropicError:
    """`status`: its own."""
    details = ErrorDetails(error_code=error.code)
    if error.param is not None:
        details["param"] = error.param
    kind = _TYPES.get(status, "invalid_request_error")
    return AnthropicError(
        type="error",
        error=AnthropicErrorObject(type=kind, message=error.message, details=details),
        request_id=request_id,
    )


def request_id_of(scope: Scope) -> str:
    request_id: str = scope.get("state", {}).get("request_id", "-")
    return request_id
