import json
from typing import Any

import pytest

from tests.server.openapi_document import DOCUMENT, OPERATIONS, bodies_of, is_valid, request_schemas


@pytest.mark.parametrize("name", sorted(request_schemas()))
def test_every_field_of_a_request_has_an_example_that_fits_it(name: str) -> None:
    for field, schema in DOCUMENT["components"]["schemas"][name].get("properties", {}).items():
        assert "examples" in schema, f"{name}.{field} has no example: add one to hostler.server.openapi_examples"
        assert all(is_valid(example, schema) for example in schema["examples"]), field


@pytest.mark.parametrize(("name", "operation"), OPERATIONS)
def test_every_parameter_and_every_body_has_an_example_that_fits_it(name: str, operation: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", ()):
        assert is_valid(parameter["example"], parameter["schema"]), parameter["name"]
    if "requestBody" in operation:
        body = operation["requestBody"]["content"]["application/json"]
        assert is_valid(body["example"], body["schema"])


@pytest.mark.parametrize(("name", "operation"), OPERATIONS)
def test_every_stream_is_documented_with_its_events(name: str, operation: dict[str, Any]) -> None:
    stream = operation["responses"]["200"]["content"].get("text/event-stream")
    properties = set().union(*(DOCUMENT["components"]["schemas"][body]["properties"] for body in bodies_of(operation)))
    queries = {parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "query"}
    assert ("stream" in properties | queries) == (stream is not None)
    if stream is not None:
        event, *others = (data_of(shown) for shown in stream["example"].removesuffix("\n\n").split("\n\n"))
        assert all(is_valid({"data": data}, stream["schema"]) for data in (event, *others))
        kinds = stream["schema"]["properties"]["data"]["anyOf"]
        assert any(is_valid(json.loads(event), kind["contentSchema"]) for kind in kinds if "contentSchema" in kind)


def data_of(event: str) -> str:
    """What follows the name of a server-sent event, where it has one."""
    return event.partition("data: ")[2]
