"""Which objects of a schema are closed, and that nothing wrong is accepted for it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from hostler.engine.constraints.closing import closed

Schema = dict[str, Any]

LEAF: Schema = {"type": "integer"}
OPEN: Schema = {"type": "object", "properties": {"a": LEAF}, "required": ["a"]}
CLOSED: Schema = {**OPEN, "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (OPEN, CLOSED),
        ({"properties": {"a": OPEN}}, {"properties": {"a": CLOSED}, "additionalProperties": False}),
        ({"type": "array", "items": OPEN}, {"type": "array", "items": CLOSED}),
        ({"prefixItems": [OPEN, LEAF]}, {"prefixItems": [CLOSED, LEAF]}),
        ({"anyOf": [OPEN, {"type": "null"}]}, {"anyOf": [CLOSED, {"type": "null"}]}),
        ({"$defs": {"x": OPEN}, "$ref": "#/$defs/x"}, {"$defs": {"x": CLOSED}, "$ref": "#/$defs/x"}),
        (
            {"type": "object", "additionalProperties": OPEN},
            {"type": "object", "additionalProperties": CLOSED},
        ),
    ],
)
def test_an_object_that_names_its_properties_has_no_others(schema: Schema, expected: Schema) -> None:
    assert closed(schema) == expected


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {**OPEN, "additionalProperties": True},
        {**OPEN, "additionalProperties": LEAF},
        {**OPEN, "patternProperties": {"^x": LEAF}},
        {**OPEN, "minProperties": 2},
        {**OPEN, "required": ["b"]},
        {**OPEN, "anyOf": [{"required": ["a"]}]},
        {"allOf": [OPEN, {"properties": {"b": LEAF}, "required": ["b"]}]},
        {"oneOf": [OPEN, {"type": "null"}]},
        {"type": "array", "items": OPEN, "contains": LEAF},
        {"$defs": {"x": {"not": LEAF}}, **OPEN},
        {"properties": ["a"]},
        {"properties": {"a": LEAF}, "required": {"a": 1}},
        {"type": "object", "const": {"properties": {"a": 1}}},
        True,
    ],
)
def test_what_says_itself_what_else_there_is_or_combines_schemas_stays_as_it_is(schema: Any) -> None:
    assert closed(schema) == schema


def test_a_property_may_be_called_like_a_keyword() -> None:
    schema = {"properties": {"not": LEAF, "allOf": LEAF}}
    assert closed(schema) == {**schema, "additionalProperties": False}


def test_the_schema_that_was_given_is_not_changed() -> None:
    schema = {"properties": {"a": {"properties": {"b": dict(LEAF)}}}}
    closed(schema)
    assert schema == {"properties": {"a": {"properties": {"b": LEAF}}}}


_names = st.sampled_from(["a", "b", "c"])
_values = st.recursive(
    st.none() | st.integers(0, 3) | st.booleans(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=6,
)


def _objects(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    extras = st.fixed_dictionaries(
        {}, optional={"required": st.lists(_names, unique=True), "additionalProperties": inner, "anyOf": _lists(inner)}
    )
    named = st.dictionaries(_names, inner, min_size=1, max_size=3)
    return st.builds(lambda properties, more: {"type": "object", "properties": properties, **more}, named, extras)


def _lists(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[list[Schema]]:
    return st.lists(inner, min_size=1, max_size=2)


def _combined(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    wrapped = st.sampled_from(["anyOf", "allOf", "oneOf"]).flatmap(
        lambda keyword: _lists(inner).map(lambda branches: {keyword: branches})
    )
    return wrapped | _objects(inner) | inner.map(lambda item: {"type": "array", "items": item})


_schemas = st.recursive(st.sampled_from([LEAF, {"type": "boolean"}, {}]), _combined, max_leaves=6)


@given(_schemas, _values)
def test_what_the_closed_schema_accepts_the_open_one_accepts(schema: Schema, value: Any) -> None:
    if Draft202012Validator(closed(schema)).is_valid(value):
        assert Draft202012Validator(schema).is_valid(value)
