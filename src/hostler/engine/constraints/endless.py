"""Finds JSON schemas whose values would have no end."""

from collections.abc import Iterator
from typing import Any

_MAX_ROUNDS = 16
"""Chains of references that are longer are taken to end: a model stops at its context all the same."""


def check_ends(schema: Any) -> None:
    """
    Raises:
        ValueError: whatever value it describes has one of the same description in it.
    """
    targets = {ref: _target(schema, ref) for ref in set(_refs(schema))}
    ending: set[str] = set()
    for _ in range(_MAX_ROUNDS):
        found = {ref for ref, target in targets.items() if ref not in ending and _ends(target, targets, ending)}
        if not found:
            break
        ending |= found
    else:
        return
    if not _ends(schema, targets, ending):
        raise ValueError("the schema asks for a value that never ends, since it refers to itself where it must be")


def _refs(schema: Any) -> Iterator[str]:
    """Those within the schema, as they are written."""
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            ref = part.get("$ref")
            if isinstance(ref, str) and ref.startswith("#"):
                yield ref
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


def _target(schema: Any, ref: str) -> Any:
    """`True`, which allows everything, where there is none: to say so is not the business of this module."""
    target = schema
    for key in ref.removeprefix("#").split("/")[1:]:
        name = key.replace("~1", "/").replace("~0", "~")
        target = _within(target, name)
    return target


def _within(part: Any, name: str) -> Any:
    if isinstance(part, list):
        return part[int(name)] if name.isascii() and name.isdigit() and int(name) < len(part) else True
    return part.get(name, True) if isinstance(part, dict) else True


def _ends(schema: Any, targets: dict[str, Any], ending: set[str]) -> bool:
    """Whether it has a value that ends, where of `targets` those in `ending` have one."""
    if not isinstance(schema, dict):
        return True
    ref = schema.get("$ref")
    if isinstance(ref, str) and ref in targets and ref not in ending:
        return False
    for keyword in ("anyOf", "oneOf"):
        choices = schema.get(keyword)
        if isinstance(choices, list) and choices and not any(_ends(part, targets, ending) for part in choices):
            return False
    return all(_ends(part, targets, ending) for part in _needed(schema))


def _needed(schema: dict[str, Any]) -> Iterator[Any]:
    """Schemas that every value of it keeps to, or has in it."""
    together = schema.get("allOf")
    yield from together if isinstance(together, list) else ()
    properties, required = schema.get("properties"), schema.get("required")
    if schema.get("type") == "object" and isinstance(properties, dict) and isinstance(required, list):
        yield from (properties[name] for name in required if isinstance(name, str) and name in properties)
    num_items = schema.get("minItems")
    if schema.get("type") == "array" and isinstance(num_items, int) and num_items > 0:
        first = schema.get("prefixItems")
        first = first[:num_items] if isinstance(first, list) else []
        yield from first
        if len(first) < num_items:
            yield schema.get("items", True)
