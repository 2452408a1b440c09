"""More than two hundred JSON schemas of all kinds, whose texts are short: what structured output is tried on."""

from typing import Any

Schema = dict[str, Any]

_STRING: Schema = {"type": "string", "maxLength": 3}
_SMALL: Schema = {"type": "integer", "minimum": 0, "maximum": 99}


def _object(properties: dict[str, Schema], *, required: list[str] | None = None, **more: Any) -> Schema:
    required = list(properties) if required is None else required
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False, **more}


def _strings() -> list[Schema]:
    patterns = [r"^[a-f]{2}$", r"^\d{3}$", "^(yes|no)$", r"^[A-Z][a-z]{1,3}$", r"^a?b{2}c{0,2}$", r"^\+\d{1,3}$"]
    patterns += [r"^[^\"\\]{2}$", r"^(ab|cd)(ef|gh)$", r"^x[0-9a-f]{4}$", r"^[\u00e0-\u00ff]{2}$"]
    formats = ("date", "time", "date-time", "duration", "uuid", "ipv4", "ipv6", "email", "hostname")
    return [
        *({"type": "string", "minLength": least, "maxLength": least + 3} for least in range(8)),
        *({"type": "string", "pattern": pattern} for pattern in patterns),
        *({"type": "string", "format": name} for name in formats),
    ]


def _numbers() -> list[Schema]:
    bounds = [(0, 9), (-5, 5), (10, 99), (100, 250), (-1000, -900), (7, 7), (0, 2**31), (999, 1001)]
    return [
        *({"type": "integer", "minimum": low, "maximum": high} for low, high in bounds),
        *({"type": "integer", "exclusiveMinimum": low, "exclusiveMaximum": high + 2} for low, high in bounds),
        *({"type": "number", "minimum": low, "maximum": high} for low, high in bounds),
        *({"type": "integer", "multipleOf": step, "minimum": 0, "maximum": 50} for step in (2, 5, 10)),
    ]


def _values() -> list[Schema]:
    values: list[Any] = ["", "a b", 'quo"te', "ünï", "back\\slash", 0, -1.5, True, None, [1, 2], {"k": "v"}, [], {}]
    return [
        *({"const": value} for value in values),
        *({"enum": values[start : start + 3]} for start in range(len(values) - 2)),
        *({"type": kinds} for kinds in (["boolean", "null"], ["null"], "boolean", "null")),
    ]


def _arrays() -> list[Schema]:
    items: list[Schema] = [_SMALL, _STRING, {"type": "boolean"}, {"enum": ["a", "b"]}, _object({"n": _SMALL})]
    return [
        *(
            {"type": "array", "items": item, "minItems": least, "maxItems": least + 2}
            for item in items
            for least in range(4)
        ),
        *({"type": "array", "prefixItems": items[:count], "items": False, "minItems": count} for count in range(1, 6)),
        *({"type": "array", "items": {"type": "array", "items": item, "maxItems": 2}, "maxItems": 2} for item in items),
    ]


def _objects() -> list[Schema]:
    names = ["a", "two words", "ünï", 'quo"te', "$ref"]
    nested = _object({"leaf": _SMALL})
    deep: list[Schema] = []
    for _ in range(10):
        nested = _object({"inner": nested, "n": {"type": "boolean"}})
        deep.append(nested)
    return [
        *(_object(dict.fromkeys(names[:count], _SMALL)) for count in range(1, 6)),
        *(_object(dict.fromkeys(names, _STRING), required=names[:count]) for count in range(5)),
        *(_object({"n": _SMALL, "s": _STRING}, description=f"number {index}", title="T") for index in range(5)),
        *({"type": "object", "additionalProperties": value, "maxProperties": 0} for value in (_SMALL, _STRING)),
        *deep,
    ]


def _combined() -> list[Schema]:
    kinds: list[Schema] = [_SMALL, _STRING, {"type": "null"}, _object({"n": _SMALL}), {"const": "x"}]
    pairs = [(one, other) for index, one in enumerate(kinds) for other in kinds[index + 1 :]]
    tree = {"type": "array", "items": {"$ref": "#/$defs/tree"}, "maxItems": 2}
    chain = _object({"v": _SMALL, "next": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}})
    return [
        *({"anyOf": [one, other]} for one, other in pairs),
        *(_object({"value": {"anyOf": [one, other]}}) for one, other in pairs),
        *({"$defs": {"it": kind}, "$ref": "#/$defs/it"} for kind in kinds),
        *(
            _object({"one": {"$ref": "#/$defs/it"}, "two": {"$ref": "#/$defs/it"}}) | {"$defs": {"it": k}}
            for k in kinds
        ),
        *({"allOf": [{"type": "integer", "minimum": low}, {"maximum": low + 20}]} for low in (0, 5, 90)),
        *({"allOf": [_object({"n": _SMALL})], "title": title} for title in ("one", "two")),
        *(_object({"x": one, "y": other}, required=["x"]) for one, other in pairs),
        *({"type": "array", "items": {"anyOf": [one, other]}, "maxItems": 2} for one, other in pairs),
        *({"type": "object", "patternProperties": {"^x[0-9]$": kind}, "additionalProperties": False} for kind in kinds),
        {"$defs": {"tree": tree}, "$ref": "#/$defs/tree"},
        chain,
    ]


SCHEMAS: list[Schema] = [*_strings(), *_numbers(), *_values(), *_arrays(), *_objects(), *_combined()]
