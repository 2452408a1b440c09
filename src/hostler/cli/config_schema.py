"""The registry file's JSON Schema, for editors that complete and check YAML."""

import ast
import inspect
from textwrap import dedent
from typing import Any

from pydantic import BaseModel

from hostler.config import Settings
from hostler.registry import ModelEntry, SourceEntry

_NOT_FOR_FILES = ("title", "default")
"""Of a property: pydantic's own spelling of its name, and defaults that the environment may change."""


def config_schema() -> dict[str, Any]:
    """Of the file that `--config` names."""
    definitions: dict[str, Any] = {}
    for model in (Settings, ModelEntry, SourceEntry):
        schema = model.model_json_schema(ref_template="#/$defs/{model}")
        definitions |= schema.pop("$defs", {})
        definitions[model.__name__] = _described(schema, model)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Hostler's registry of models",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "settings": {"$ref": "#/$defs/Settings"},
            "models": {"type": "object", "additionalProperties": {"$ref": "#/$defs/ModelEntry"}},
        },
        "$defs": definitions,
    }


def _described(schema: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    docstrings = _field_docstrings(model)
    properties = {}
    for name, field in schema["properties"].items():
        kept = {key: value for key, value in field.items() if key not in _NOT_FOR_FILES}
        properties[name] = {**kept, "description": docstrings[name]} if name in docstrings else kept
    return {**schema, "properties": properties}


def _field_docstrings(model: type[BaseModel]) -> dict[str, str]:
    """The text below each field; pydantic would read it as well, but at every start of a server."""
    tree = ast.parse(dedent(inspect.getsource(model))).body[0]
    assert isinstance(tree, ast.ClassDef)
    docstrings = {}
    for statement, following in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            match following:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    docstrings[statement.target.id] = inspect.cleandoc(text)
    return docstrings
