"""What the text of an answer must be, as requests ask for it."""

import json
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from hostler.errors import InvalidRequestError
from hostler.protocol.fields import RequestBody
from hostler.types import Constraint, ConstraintKind, SamplingParams

MAX_CONSTRAINT_CHARS = 128 * 1024
"""Of a schema, as JSON, or a grammar. Larger ones take seconds to compile."""
MAX_CHOICES = 1000

Schema = dict[str, Any]


class TextFormat(RequestBody):
    """No constraint."""

    type: Literal["text"]


class JsonObjectFormat(RequestBody):
    """Any JSON object; with `value`, one of that schema, as huggingface_hub's client asks for it."""

    type: Literal["json_object"]
    value: Schema | None = None


class NamedSchema(RequestBody):
    model_config = ConfigDict(populate_by_name=True)

    name: Annotated[str, Field(max_length=64)]
    """For people; changes nothing."""
    description: str | None = None
    """As `name`."""
    schema_: Annotated[Schema | None, Field(alias="schema")] = None
    """Default: any JSON object."""
    strict: bool | None = None
    """The schema always holds, whatever this says."""


class JsonSchemaFormat(RequestBody):
    type: Literal["json_schema"]
    json_schema: NamedSchema


ResponseFormat = Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")]


def constraint_of(response_format: ResponseFormat | None) -> Constraint | None:
    """
    Raises:
        InvalidRequestError: the schema is too large.
    """
    match response_format:
        case JsonObjectFormat(value=schema):
            return schema_constraint(schema, "response_format")
        case JsonSchemaFormat(json_schema=named):
            return schema_constraint(named.schema_, "response_format")
        case _:
            return None


class ConstraintFields(RequestBody):
    """What `generate` and `chat` take; at most one of them."""

    json_schema: Schema | None = None
    """The answer is JSON that this schema describes."""
    regex: Annotated[str, Field(min_length=1)] | None = None
    """The whole answer matches it; Rust's syntax, without look-around."""
    choice: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=MAX_CHOICES)] | None = (
        None
    )
    """The answer is one of these."""
    grammar: Annotated[str, Field(min_length=1)] | None = None
    """The answer follows this grammar, in Lark's form or as GBNF."""

    @model_validator(mode="after")
    def _one_at_most(self) -> "ConstraintFields":
        asked = [name for name in CONSTRAINT_FIELDS if getattr(self, name) is not None]
        if len(asked) > 1:
            raise InvalidRequestError(
                f"{' and '.join(asked)} were given; leave all but one of them out", param=asked[1]
            )
        return self

    def constraint(self) -> Constraint | None:
        """
        Raises:
            InvalidRequestError: it is too large.
        """
        if self.json_schema is not None:
            return schema_constraint(self.json_schema, "json_schema")
        if self.regex is not None:
            return _bounded(ConstraintKind.REGEX, self.regex, "regex")
        if self.choice is not None:
            return _bounded(ConstraintKind.CHOICE, json.dumps(self.choice), "choice")
        if self.grammar is not None:
            return _bounded(ConstraintKind.GRAMMAR, self.grammar, "grammar")
        return None


CONSTRAINT_FIELDS = ("json_schema", "regex", "choice", "grammar")


def check_constrained(params: SamplingParams) -> SamplingParams:
    """The same parameters, if they can be had beside a constraint.

    Raises:
        InvalidRequestError: one of them says otherwise than the grammar where the text ends, or how it is searched.
    """
    if params.constraint is not None:
        refuse_other_ends(params, params.constraint.param)
    return params


def refuse_other_ends(params: SamplingParams, beside: str) -> None:
    """`beside`: the field of the request that a grammar comes from.

    Raises:
        InvalidRequestError: a parameter says otherwise than a grammar where the text ends, or how it is searched.
    """
    conflicts = {
        "num_beams": params.beams is not None,
        "ignore_eos": params.ignore_eos,
        "min_tokens": params.min_tokens,
    }
    for name, is_set in conflicts.items():
        if is_set:
            raise InvalidRequestError(f"{name} is not available with {beside}; leave one of them out", param=name)


def schema_constraint(schema: Schema | None, param: str) -> Constraint:
    return _bounded(ConstraintKind.JSON_SCHEMA, json.dumps({"type": "object"} if schema is None else schema), param)


def _bounded(kind: ConstraintKind, text: str, param: str) -> Constraint:
    if len(text) > MAX_CONSTRAINT_CHARS:
        raise InvalidRequestError(
            f"{param} has {len(text)} characters, more than {MAX_CONSTRAINT_CHARS}; make it smaller", param=param
        )
    return Constraint(kind=kind, text=text, param=param)
