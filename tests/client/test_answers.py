"""Answers and errors that the client reads, without a network."""

import json
from email.utils import formatdate

import pytest

from hostler.client.answers import read_answer, read_error, retry_after_s
from hostler.errors import (
    GatedModelError,
    HostlerError,
    InvalidRequestError,
    ModelNotFoundError,
    QueueFullError,
    RateLimitError,
    RequestError,
    RequestTooLargeError,
    ServiceError,
    subclasses_by_code,
)
from hostler.protocol.native_answers import Health


@pytest.mark.parametrize("content", [b"<html>", b"[]", b'{"status": "odd"}', b""])
def test_an_answer_of_something_else_is_told_apart(content: bytes) -> None:
    with pytest.raises(ServiceError, match="is it Hostler"):
        read_answer(content, Health)


@pytest.mark.parametrize("code", sorted(subclasses_by_code()))
def test_every_code_comes_back_as_its_own_class(code: str) -> None:
    error = read_error(418, json.dumps({"detail": "why", "code": code}).encode())

    assert type(error) is subclasses_by_code()[code]
    assert error.message == "why"


@pytest.mark.parametrize(
    ("status", "content", "expected"),
    [
        (404, b'{"detail": "no model", "code": "model_not_found"}', ModelNotFoundError),
        (403, b'{"detail": "gated", "code": "gated_model"}', GatedModelError),
        (429, b'{"detail": "full", "code": "queue_full"}', QueueFullError),
        (400, b'{"detail": "odd", "code": "of a newer server"}', RequestError),
        (502, b"<html>Bad gateway</html>", ServiceError),
        (413, b"", RequestTooLargeError),
        (429, b"slow down", RateLimitError),
        (418, b"", RequestError),
        (500, b'["a list"]', ServiceError),
    ],
)
def test_an_error_has_the_class_of_its_code_or_else_of_its_status(
    status: int, content: bytes, expected: type[HostlerError]
) -> None:
    assert type(read_error(status, content)) is expected


def test_an_error_without_words_says_its_status() -> None:
    assert read_error(502, b"<html>").message == "the server answered with status 502"


def test_a_list_of_problems_becomes_one_sentence_and_names_the_field() -> None:
    problems = [
        {"type": "less_than_equal", "loc": ["body", "temperature"], "msg": "too hot"},
        {"type": "missing", "loc": ["body", "text"], "msg": "Field required"},
    ]

    error = read_error(422, json.dumps({"detail": problems}).encode())

    assert isinstance(error, InvalidRequestError)
    assert error.message == "body.temperature: too hot; body.text: Field required"
    assert error.param == "temperature"


def test_an_error_of_a_route_of_openais_is_read_too() -> None:
    body = {"error": {"message": "no text", "type": "invalid_request_error", "param": "input", "code": "invalid_value"}}
    error = read_error(400, json.dumps(body).encode())
    assert (type(error), error.message, error.param) == (InvalidRequestError, "no text", "input")
    assert type(read_error(502, b'{"error": {"message": "bad gateway"}}')) is ServiceError


def test_an_error_has_the_status_the_request_id_and_when_to_try_again() -> None:
    headers = {"x-request-id": "r-1", "retry-after": "7"}
    error = read_error(429, b'{"detail": "full", "code": "queue_full"}', headers)
    assert (error.status, error.type, error.code, error.request_id) == (429, "rate_limit_error", "queue_full", "r-1")
    assert error.retry_after_s == 7


def test_an_error_inside_a_stream_has_no_status() -> None:
    error = read_error(None, b'{"detail": "it died", "code": "of a newer server"}')
    assert (type(error), error.status) == (ServiceError, None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("7", 7.0),
        (" 0.5 ", 0.5),
        (formatdate(1_000_010, usegmt=True), 10.0),
        (formatdate(999_000, usegmt=True), 0.0),
        ("Sun Sep  9 01:46:50 2001", pytest.approx(999_000_010)),
        (None, None),
        ("", None),
        ("soon", None),
        ("-3", None),
        ("1e9", None),
        ("NaN", None),
        ("9" * 40, None),
        ("Mon, 99 Jan 1970 00:00:00 GMT", None),
    ],
)
def test_a_retry_after_is_seconds_or_a_date(value: str | None, expected: float | None) -> None:
    assert retry_after_s(value, now=1_000_000) == expected
