from typing import Any

import pytest

from hostler.errors import subclasses_by_code
from hostler.server.errors import TABLE
from tests.server.openapi_document import OPERATIONS, is_valid


@pytest.mark.parametrize(("name", "operation"), OPERATIONS)
def test_every_error_has_an_example_for_each_of_its_codes(name: str, operation: dict[str, Any]) -> None:
    for status, response in operation["responses"].items():
        assert response["description"]
        if int(status) < 400 or name == "GET /health/ready":
            continue
        described = response["content"]["application/json"]
        assert all(is_valid(example["value"], described["schema"]) for example in described["examples"].values())
        if status == "422":
            continue
        codes = set(described["examples"])
        assert codes
        known = 503 if status == "529" else int(status)
        assert {TABLE[subclasses_by_code()[code]].status for code in codes} == {known}
