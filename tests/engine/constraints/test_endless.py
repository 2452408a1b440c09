import itertools
from contextlib import nullcontext
from typing import Any

import pytest

from hostler.engine.constraints.endless import check_ends

NODE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "required": ["next"]}


def needing(schema: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": schema}, "required": ["a"]}


@pytest.mark.parametrize(
    "schema",
    [
        needing({"$ref": "#"}),
        {"$ref": "#/$defs/node", "$defs": {"node": NODE}},
        needing({"anyOf": [{"$ref": "#"}, needing({"$ref": "#"})]}),
        needing({"type": "array", "items": {"$ref": "#"}, "minItems": 1}),
        needing({"type": "array", "prefixItems": [{"type": "null"}, {"$ref": "#"}], "minItems": 2}),
        {"allOf": [needing({"$ref": "#/allOf/0"})]},
        {"$defs": {"a": needing({"$ref": "#/$defs/b"}), "b": needing({"$ref": "#/$defs/a"})}, "$ref": "#/$defs/a"},
        {"$ref": "#"},
    ],
)
def test_a_schema_that_must_have_itself_in_it_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="never ends"):
        check_ends(schema)


@pytest.mark.parametrize(
    "schema",
    [
        True,
        {"type": "object", "properties": {"next": {"$ref": "#"}}},
        needing({"anyOf": [{"$ref": "#"}, {"type": "null"}]}),
        needing({"oneOf": [{"type": "null"}, {"$ref": "#"}]}),
        needing({"type": "array", "items": {"$ref": "#"}}),
        needing({"type": "array", "prefixItems": [{"type": "null"}, {"$ref": "#"}], "minItems": 1}),
        {"$defs": {"unused": needing({"$ref": "#/$defs/unused"})}, "type": "string"},
        {"$ref": "#/$defs/nobody"},
        {"$ref": "http://example.org/"},
        {"type": ["object", "null"], "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"$defs": {"a~b/c": {"type": "null"}}, **needing({"$ref": "#/$defs/a~0b~1c"})},
        {"type": "object", "properties": [], "required": 3, "allOf": {}, "anyOf": [], "minItems": "1"},
    ],
)
def test_a_schema_that_may_end_is_not(schema: Any) -> None:
    check_ends(schema)


@pytest.mark.parametrize(("length", "is_seen"), [(3, True), (3000, False)])
def test_long_chains_are_looked_at_for_a_while_and_no_longer(length: int, is_seen: bool) -> None:
    names = [f"n{i}" for i in range(length)]
    defs = {name: needing({"$ref": f"#/$defs/{following}"}) for name, following in itertools.pairwise(names)}
    defs |= {names[-1]: {"type": "null"}, "loop": needing({"$ref": "#/$defs/loop"})}
    schema = {"$defs": defs, "allOf": [{"$ref": "#/$defs/n0"}, {"$ref": "#/$defs/loop"}]}
    with pytest.raises(ValueError, match="never ends") if is_seen else nullcontext():
        check_ends(schema)
