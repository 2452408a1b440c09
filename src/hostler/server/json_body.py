"""Reading a request's body: bounded in size and depth, checked against its model."""

import gc
import logging
from array import array
from itertools import accumulate
from typing import Any, Generic, TypeVar

import msgspec
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from hostler.config import Settings
from hostler.errors import InvalidRequestError, RequestTooLargeError
from hostler.protocol.fields import IgnoredFields
from hostler.protocol.native_answers import ValidationProblem
from hostler.suggestions import did_you_mean

logger = logging.getLogger(__name__)

MAX_DEPTH = 64
MAX_NODES = 2**16
"""Lists, objects and fields of objects, all together. To read and check one takes microseconds, in which no stream goes
on; of texts and numbers a body may be full. A conversation of 4096 messages, each
of a part, has half of that."""
MAX_ECHO_BYTES = 960
"""Of the input, in all that an error says."""
MAX_MESSAGE_CHARS = 600
MAX_PROBLEMS = 10
"""Of a body with more, the first ones are told."""

MAX_NAMES = 10
MAX_NAME_CHARS = 40
"""Of ignored fields, in the log."""

_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
"""As signed bytes: one level up, or down."""
Body = TypeVar("Body", bound=BaseModel)


class JsonBody(Generic[Body]):
    """A dependency that gives a route its validated body.

    FastAPI's own body parameters are read before any dependency runs, that is before the key is checked, and without
    bounds.
    """

    def __init__(self, model: type[Body], *, may_be_empty: bool = False) -> None:
        self.model = model
        self.may_be_empty = may_be_empty

    async def __call__(self, request: Request) -> Body:
        """
        Raises:
            ClientDisconnect: the client left before the body was complete.
            RequestTooLargeError: more bytes than `max_body_bytes`.
            InvalidRequestError: no JSON, or compressed.
            RequestValidationError: JSON that is not what the route takes.
        """
        settings: Settings = request.app.state.services.settings
        _refuse_compression(request)
        content = await _read(request, settings.max_body_bytes)
        if not content and self.may_be_empty:
            return self.model()
        kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind != "application/json" and not kind.endswith("+json"):
            raise InvalidRequestError("the body must be JSON, sent with the header Content-Type: application/json")
        value = parse_json(content)
        if value is None and self.may_be_empty:
            return self.model()
        ignored = IgnoredFields() if settings.unknown_fields == "ignore" else None
        body = validated(value, self.model, ignored)
        if ignored is not None and ignored.names:
            names = ",".join(repr(name[:MAX_NAME_CHARS]) for name in sorted(ignored.names)[:MAX_NAMES])
            logger.info("unknown_fields_ignored request_id=%s fields=%s", request.state.request_id, names)
        return body


def validated(value: object, model: type[Body], ignored: IgnoredFields | None = None) -> Body:
    """`ignored`: takes the unknown fields, which are refused where it is `None`.

    Raises:
        RequestValidationError: the value is not what the model takes.
    """
    try:
        return model.model_validate(value, context=ignored)
    except ValidationError as exc:
        raise RequestValidationError(_problems(exc, model, value)) from exc


def parse_json(content: bytes) -> Any:
    """
    Raises:
        InvalidRequestError: no JSON (`NaN` and the like are none), nested more deeply than `MAX_DEPTH`, or of more than
            `MAX_NODES`.
    """
    num_brackets = content.count(b"[") + content.count(b"{")
    if num_brackets > MAX_DEPTH or num_brackets + content.count(b":") > MAX_NODES:
        _check_structure(content)
    try:
        return _decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise InvalidRequestError(f"the body is not valid JSON: {exc}") from exc


def _check_structure(content: bytes) -> None:
    """Without a loop of Python's over the bytes, which would hold up every stream for seconds."""
    outside_strings = b"".join(content.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')[::2])
    if sum(outside_strings.count(mark) for mark in (b"[", b"{", b":")) > MAX_NODES:
        raise InvalidRequestError(
            f"the body has more than {MAX_NODES} lists, objects and fields, all together; send less in one request"
        )
    steps = outside_strings.translate(_STEPS, _NOT_BRACKETS)
    if max(accumulate(array("b", steps)), default=0) > MAX_DEPTH:
        raise InvalidRequestError(f"the body is nested more than {MAX_DEPTH} levels deep")


def _decode(content: bytes) -> Any:
    # A large body is millions of objects, all in use: to look for garbage among them takes longer than all the rest.
    gc.disable()
    try:
        return msgspec.json.decode(content)
    finally:
        gc.enable()


def _refuse_compression(request: Request) -> None:
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise InvalidRequestError(
            f"the body has Content-Encoding: {encoding[:40]}, and nothing is decompressed here; send it as it is"
        )


async def _read(request: Request, max_bytes: int) -> bytes:
    too_large = RequestTooLargeError(f"the body has more than {max_bytes} bytes, the most that this server takes")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > max_bytes:
        raise too_large
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > max_bytes:
            raise too_large
    return bytes(content)


def _problems(exc: ValidationError, model: type[BaseModel], body: object) -> list[ValidationProblem]:
    """What is wrong, in FastAPI's form, without echoing more of the input than helps."""
    errors = exc.errors(include_url=False, include_context=False)[:MAX_PROBLEMS]
    max_bytes = MAX_ECHO_BYTES // (3 * len(errors))  # each shows a name, and a value in its message and as its input
    problems = []
    for error in errors:
        path = _path_in(body, error["loc"])
        loc = [part if isinstance(part, int) else _cut(str(part), max_bytes) for part in path]
        shown = _shorten(error["input"], max_bytes)
        msg = error["msg"].removeprefix("Value error, ")
        if error["type"] == "extra_forbidden":
            known = did_you_mean(str(loc[-1]), model.model_fields) if len(loc) == 1 else ""
            msg = f"Unknown field, which would be without effect; leave it out{known}"
        elif error["type"] == "model_type":
            msg = "Input should be a JSON object"
        elif error["type"] != "value_error" and isinstance(error["input"], str | int | float):
            msg = f"{msg}, not {shown!r}"
        problem = ValidationProblem(type=error["type"], loc=["body", *loc], msg=msg[:MAX_MESSAGE_CHARS])
        if isinstance(error["input"], str | int | float | None):
            problem["input"] = shown
        problems.append(problem)
    return problems


def _path_in(body: object, loc: tuple[int | str, ...]) -> list[int | str]:
    """Where a problem is, without the names that pydantic has for the alternatives of a union."""
    path: list[int | str] = []
    value: Any = body
    for place, part in enumerate(loc, 1):
        if _has(value, part):
            value = value[part]
        elif place < len(loc) or not isinstance(value, dict):
            continue  # what is last, in an object, is a field that is missing
        path.append(part)
    return path or list(loc)


def _has(value: object, part: int | str) -> bool:
    if isinstance(value, list):
        return isinstance(part, int) and 0 <= part < len(value)
    return isinstance(value, dict) and part in value


def _shorten(value: object, max_bytes: int) -> object:
    if isinstance(value, str):
        return _cut(value, max_bytes)
    if isinstance(value, int) and value.bit_length() > 64:
        return "a number of more than 64 bits"
    return value


def _cut(text: str, max_bytes: int) -> str:
    beginning = text[:max_bytes].encode()[:max_bytes].decode(errors="ignore")
    return text if beginning == text else f"{beginning}…"
