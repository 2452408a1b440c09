"""JSON Schemas in words."""

from typing import Any

from docs_build.markdown import anchor, as_json, code

_KEYWORDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
_SIZES = {
    "minLength": "≥",
    "maxLength": "≤",
    "minItems": "≥",
    "maxItems": "≤",
    "minProperties": "≥",
    "maxProperties": "≤",
}
_LARGEST_TOLD = 2**31 - 1
"""Beyond it a bound only says that numbers have an end."""
_UNITS = {"Length": "characters", "Items": "entries", "Properties": "fields"}


def in_words(schema: dict[str, Any], *, links: bool = True) -> str:
    """Which values a schema takes. `links`: named schemas are headings of the same page."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{anchor(name)})" if links else name
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return _alternatives(schema[key], links)
    if "allOf" in schema:
        return _alternatives(schema["allOf"], links)
    if "const" in schema:
        return as_json(schema["const"])
    if "enum" in schema:
        return ", ".join(as_json(value) for value in schema["enum"])
    return _typed(schema, links)


def _alternatives(schemas: list[dict[str, Any]], links: bool) -> str:
    """`null` is left out: it stands for the default everywhere."""
    return " or ".join(dict.fromkeys(in_words(each, links=links) for each in schemas if each.get("type") != "null"))


def _typed(schema: dict[str, Any], links: bool) -> str:
    kinds = schema.get("type", "any value")
    kind = " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
    if kind == "array":
        items = schema.get("items") or {}
        kind = f"list of {in_words(items, links=links)}" if items else "list"
    elif kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        kind = f"object of {in_words(schema['additionalProperties'], links=links)}"
    return ", ".join([kind, *_bounds(schema)])


def _bounds(schema: dict[str, Any]) -> list[str]:
    bounds = [
        f"{sign} {schema[key]:g}"
        for key, sign in _KEYWORDS.items()
        if abs(schema.get(key, _LARGEST_TOLD)) < _LARGEST_TOLD
    ]
    for key, sign in _SIZES.items():
        if key in schema:
            bounds.append(f"{sign} {schema[key]} {_UNITS[key[3:]]}")
    if "pattern" in schema and len(schema["pattern"]) < 40:
        bounds.append(f"matches {code(schema['pattern'])}")
    return bounds
