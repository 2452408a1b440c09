"""What of a request becomes a constraint, and what is refused before any model sees it."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from hostler.errors import InvalidRequestError
from hostler.protocol.constraints import MAX_CHOICES, MAX_CONSTRAINT_CHARS
from hostler.protocol.native import ChatRequest, GenerateRequest
from hostler.protocol.openai_chat import ChatCompletionRequest
from hostler.protocol.openai_completions import CompletionRequest
from hostler.types import Constraint, ConstraintKind

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}
ANY_OBJECT = {"type": "object"}


def chat(**fields: Any) -> ChatCompletionRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **fields}
    return ChatCompletionRequest.model_validate(body)


def generate(**fields: Any) -> GenerateRequest:
    return GenerateRequest(text="Hi", **fields)


@pytest.mark.parametrize(
    ("response_format", "schema"),
    [
        ({"type": "json_object"}, ANY_OBJECT),
        ({"type": "json_object", "value": SCHEMA}, SCHEMA),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}}, SCHEMA),
        ({"type": "json_schema", "json_schema": {"name": "n", "description": "d", "strict": None}}, ANY_OBJECT),
    ],
)
def test_a_response_format_is_a_schema(response_format: dict[str, Any], schema: dict[str, Any]) -> None:
    constraint = chat(response_format=response_format).sampling_params().constraint
    assert constraint == Constraint(kind=ConstraintKind.JSON_SCHEMA, text=json.dumps(schema), param="response_format")
    completion = CompletionRequest.model_validate({"model": "m", "prompt": "Hi", "response_format": response_format})
    assert completion.sampling_params().constraint == constraint


@pytest.mark.parametrize("response_format", [None, {"type": "text"}])
def test_text_is_no_constraint(response_format: Any) -> None:
    assert chat(response_format=response_format).sampling_params().constraint is None


@pytest.mark.parametrize(
    "response_format",
    [
        {},
        {"type": "xml"},
        {"type": "json_schema"},
        {"type": "json_schema", "json_schema": {"schema": SCHEMA}},
        {"type": "json_schema", "json_schema": {"name": "n", "schema": []}},
        {"type": "json_object", "schema": SCHEMA},
        "json_object",
    ],
)
def test_a_malformed_response_format_is_refused_by_name(response_format: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        chat(response_format=response_format)
    assert {error["loc"][0] for error in caught.value.errors()} == {"response_format"}


@pytest.mark.parametrize(
    ("field", "value", "kind", "text"),
    [
        ("json_schema", SCHEMA, ConstraintKind.JSON_SCHEMA, json.dumps(SCHEMA)),
        ("regex", "a+", ConstraintKind.REGEX, "a+"),
        ("choice", ["yes", "no"], ConstraintKind.CHOICE, '["yes", "no"]'),
        ("grammar", 'start: "a"', ConstraintKind.GRAMMAR, 'start: "a"'),
    ],
)
def test_the_native_routes_take_all_kinds(field: str, value: Any, kind: ConstraintKind, text: str) -> None:
    expected = Constraint(kind=kind, text=text, param=field)
    assert generate(**{field: value}).sampling_params(10).constraint == expected
    assert ChatRequest(message="Hi", **{field: value}).sampling_params(0.7).constraint == expected


def test_of_two_constraints_one_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="json_schema and regex were given") as caught:
        generate(json_schema=SCHEMA, regex="a")
    assert caught.value.param == "regex"


@pytest.mark.parametrize(
    ("field", "value"),
    [("regex", ""), ("choice", []), ("choice", [""]), ("choice", ["a"] * (MAX_CHOICES + 1)), ("json_schema", "{}")],
)
def test_an_empty_or_ill_typed_constraint_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        generate(**{field: value})
    assert caught.value.errors()[0]["loc"][0] == field


def test_a_constraint_that_is_too_large_is_refused_with_both_numbers() -> None:
    with pytest.raises(InvalidRequestError, match=f"more than {MAX_CONSTRAINT_CHARS}") as caught:
        generate(regex="a" * (MAX_CONSTRAINT_CHARS + 1)).sampling_params(10)
    assert caught.value.param == "regex"


@pytest.mark.parametrize(("field", "value"), [("num_beams", 2), ("ignore_eos", True), ("min_tokens", 3)])
def test_what_cannot_be_had_beside_a_constraint_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(InvalidRequestError, match=f"{field} is not available with response_format") as caught:
        chat(response_format={"type": "json_object"}, **{field: value}).sampling_params()
    assert caught.value.param == field
    if field == "num_beams":
        with pytest.raises(InvalidRequestError, match="num_beams is not available with regex"):
            generate(regex="a", num_beams=2).sampling_params(10)
