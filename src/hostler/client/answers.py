"""What came back, read: an answer of the expected type, or the error that the server reports."""

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import cast

import msgspec

from hostler.client.calls import Answer
from hostler.errors import (
    AuthenticationError,
    HostlerError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RequestError,
    RequestTooLargeError,
    ServiceError,
    subclasses_by_code,
)

_BY_STATUS: dict[int, type[HostlerError]] = {
    HTTPStatus.UNAUTHORIZED: AuthenticationError,
    HTTPStatus.FORBIDDEN: PermissionDeniedError,
    HTTPStatus.NOT_FOUND: NotFoundError,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: RequestTooLargeError,
    HTTPStatus.TOO_MANY_REQUESTS: RateLimitError,
}
"""Where a proxy answered instead, and there is no code."""


def read_answer(content: bytes, answer_type: type[Answer]) -> Answer:
    """Decode the body of a successful answer; a `str` is the text as it is.

    Raises:
        ServiceError: it is something else, so the other side is hardly a Hostler.
    """
    if answer_type is str:
        return cast(Answer, content.decode(errors="replace"))
    try:
        return msgspec.json.decode(content, type=answer_type)
    except (ValueError, RecursionError) as exc:  # msgspec's own errors, and of bytes that are no text
        raise ServiceError(f"the server answered something unexpected ({exc}): is it Hostler?") from exc


def read_error(status: int | None, content: bytes, headers: Mapping[str, str] | None = None) -> HostlerError:
    """The error that the server raised, by its `code`; by its status where a proxy answered instead.

    `status`: `None` for one that came inside a stream.
    """
    headers = headers or {}
    try:
        body = msgspec.json.decode(content)
    except (ValueError, RecursionError):
        body = None
    error = _error_in(body if isinstance(body, dict) else {}, status)
    error.status = status
    error.request_id = headers.get("x-request-id")
    error.retry_after_s = retry_after_s(headers.get("retry-after"), time.time())
    return error


def retry_after_s(value: str | None, now: float) -> float | None:
    """Seconds from `now`, in Unix seconds, that a `Retry-After` asks for: a number of them, or a date.

    `None` where it says neither.
    """
    text = (value or "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _error_in(body: dict[str, object], status: int | None) -> HostlerError:
    is_of_server = status is None or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    by_status = _BY_STATUS.get(status or 0, ServiceError if is_of_server else RequestError)
    if isinstance(error := body.get("error"), dict):  # as OpenAI's routes have it
        param = error.get("param")
        return subclasses_by_code().get(str(error.get("code")), by_status)(str(error.get("message")), param=param)
    detail = body.get("detail") or f"the server answered with status {status}"
    if isinstance(detail, list):
        return InvalidRequestError("; ".join(_describe(problem) for problem in detail), param=_param_of(detail))
    return subclasses_by_code().get(str(body.get("code")), by_status)(str(detail))


def _describe(problem: object) -> str:
    """One entry of a validation error: `body.temperature: Input should be …`."""
    if not isinstance(problem, dict):
        return str(problem)
    return f"{'.'.join(map(str, _location_of(problem)))}: {problem.get('msg')}"


def _param_of(problems: list[object]) -> str | None:
    location = _location_of(problems[0]) if problems else []
    return str(location[-1]) if location else None


def _location_of(problem: object) -> list[object]:
    location = problem.get("loc") if isinstance(problem, dict) else None
    return location if isinstance(location, list) else []
