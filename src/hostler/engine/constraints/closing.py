"""Objects of a JSON schema are closed where its author left that open."""

from collections.abc import Callable
from typing import Any

Schema = dict[str, Any]

_OF_NAMES = ("properties", "patternProperties", "$defs", "definitions")
"""Keywords whose value has schemas by name."""
_LISTS = ("anyOf", "prefixItems")
_SINGLE = ("items", "additionalProperties")
_COMBINING = frozenset(
    {
        "$dynamicRef",
        "allOf",
        "contains",
        "dependentSchemas",
        "else",
        "if",
        "not",
        "oneOf",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
"""By which what one schema allows depends on what another says of the same value."""
_ELSEWHERE = frozenset({"$ref", "anyOf"})
"""By which an object's properties may be said in a second place."""
_OPEN = frozenset({"additionalProperties", "minProperties", "patternProperties"})
"""By which an author says himself what else an object may have."""


class _CombinedError(Exception):
    """A schema in which no part may be changed by itself."""


def closed(schema: Any) -> Any:
    """The same schema, in which an object has no properties but those that it names.

    Whatever this allows, the schema as it was allows too: nothing wrong is accepted, but a model that may invent
    properties often does so until its context ends. Left as they are: objects that say themselves what else they may
    have, those without `properties`, and all of a schema that combines others (`allOf`, `oneOf`, `not`, `if`, …), where
    to close one part may leave nothing that suits all.
    """
    try:
        return _close(schema)
    except _CombinedError:
        return schema


def _close(part: Any) -> Any:
    """
    Raises:
        _CombinedError: it combines others.
    """
    if not isinstance(part, dict):
        return part
    if not _COMBINING.isdisjoint(part) or ("properties" in part and not _ELSEWHERE.isdisjoint(part)):
        raise _CombinedError
    copy = _with_inner(part, _close)
    return {**copy, "additionalProperties": False} if _may_be_closed(part) else copy


def _with_inner(part: Schema, change: Callable[[Any], Any]) -> Schema:
    """A copy, with the schemas right within it changed."""
    copy = dict(part)
    for keyword, value in part.items():
        if keyword in _OF_NAMES and isinstance(value, dict):
            copy[keyword] = {name: change(inner) for name, inner in value.items()}
        elif keyword in _LISTS and isinstance(value, list):
            copy[keyword] = [change(inner) for inner in value]
        elif keyword in _SINGLE:
            copy[keyword] = change(value)
    return copy


def _may_be_closed(part: Schema) -> bool:
    named, required = part.get("properties"), part.get("required", [])
    if not isinstance(named, dict) or not isinstance(required, list):
        return False
    return _OPEN.isdisjoint(part) and all(name in named for name in required if isinstance(name, str))
