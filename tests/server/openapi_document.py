"""Our own OpenAPI document, and what tests ask of it."""

from typing import Any

import jsonschema_rs

from hostler.config import Settings
from hostler.testing.worker import FakeLauncher
from tests.server.conftest import make_app

DOCUMENT = make_app(FakeLauncher(), Settings())[0].openapi()


OPERATIONS: list[tuple[str, dict[str, Any]]] = [
    (f"{method.upper()} {path}", operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]


def request_schemas() -> set[str]:
    """Of every body, and of all that is inside."""
    pending = set().union(*(references(operation.get("requestBody")) for _, operation in OPERATIONS))
    found: set[str] = set()
    while pending:
        reference = pending.pop()
        found.add(reference.rpartition("/")[2])
        inside = references(DOCUMENT["components"]["schemas"][reference.rpartition("/")[2]])
        pending |= {other for other in inside if other.rpartition("/")[2] not in found}
    return found


def bodies_of(operation: dict[str, Any]) -> list[str]:
    return [reference.rpartition("/")[2] for reference in references(operation.get("requestBody"))]


def is_valid(value: Any, schema: Any) -> bool:
    return jsonschema_rs.is_valid({**schema, "components": DOCUMENT["components"]}, value)


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*map(references, node.values()))
    return set().union(*map(references, node)) if isinstance(node, list) else set()
