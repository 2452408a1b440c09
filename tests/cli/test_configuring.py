"""`hostler config schema`."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from hostler.cli.commands import app
from hostler.config import Settings
from hostler.registry import ModelEntry

ROOT = Path(__file__).parents[2]
ENTRY = {"name": "org/tiny", "type": "text", "size": "1M", "description": "Tiny", "max_length": 64}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    result = CliRunner().invoke(app, ["config", "schema", "--json"])
    assert result.exit_code == 0
    found: dict[str, Any] = json.loads(result.stdout)
    Draft202012Validator.check_schema(found)
    return found


def problems(schema: dict[str, Any], file: Any) -> list[str]:
    return [problem.message for problem in Draft202012Validator(schema).iter_errors(file)]


def examples() -> list[str]:
    """Every registry file of the documentation, and the shipped one."""
    texts = [path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))]
    blocks = [block for text in texts for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    registries = [block for block in blocks if re.search(r"^(models|settings):", block, re.MULTILINE)]
    return [(ROOT / "src" / "hostler" / "models.yaml").read_text(), *registries]


@pytest.mark.parametrize("text", examples())
def test_every_registry_that_is_shown_keeps_to_it(schema: dict[str, Any], text: str) -> None:
    assert problems(schema, yaml.safe_load(text)) == []


@pytest.mark.parametrize(
    "file",
    [
        {"model": {}},
        {"models": {"tiny": {**ENTRY, "pined": True}}},
        {"models": {"tiny": {**ENTRY, "type": "poem"}}},
        {"models": {"tiny": {"name": "org/tiny"}}},
        {"models": {"tiny": {**ENTRY, "source": {"folder": "a", "url": "b"}}}},
        {"settings": {"port": 70000}},
        {"settings": {"memory": "8GiB"}},
    ],
)
def test_what_a_server_would_refuse_is_refused(schema: dict[str, Any], file: Any) -> None:
    assert problems(schema, file)


def test_every_field_is_there_and_what_its_docstring_says(schema: dict[str, Any]) -> None:
    settings = schema["$defs"]["Settings"]["properties"]
    assert set(settings) == set(Settings.model_fields)
    assert set(schema["$defs"]["ModelEntry"]["properties"]) == set(ModelEntry.model_fields)
    assert settings["port"]["description"] == "TCP port; 0 lets the system choose."
