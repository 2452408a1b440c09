"""The page of settings, of keys of the registry file and of environment variables."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from docs_build.docstrings import field_docstrings, paragraph
from docs_build.markdown import code, document, table
from docs_build.schemas import in_words
from hostler.config import ENVIRONMENT_ONLY, LIVE, WITHOUT_EFFECT, Settings
from hostler.quantities import MemoryBudget
from hostler.registry import ModelEntry, SourceEntry

_LEAD = """
What each of them is for, with examples, is told in [Configuration](../configuration.md). A setting is a key under
`settings:` of the registry file and a variable of the environment; the command line wins over the environment, that
over the file, that over the default.
"""
_NAMES_OF_OTHERS = {
    "MODEL_CONFIG_PATH": "the registry file; `--config` wins over it",
    "XDG_CONFIG_HOME": "the folder that takes the place of `~/.config`",
    "HF_HOME": "the hub library's home; models are in `hub/` below it",
    "HF_HUB_OFFLINE": "1: use what is in the cache and ask nobody",
    "CUDA_VISIBLE_DEVICES": "which GPUs there are, as everywhere",
    "NVIDIA_VISIBLE_DEVICES": "the same, in a container",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "where [traces](../operating.md#traces) go; OpenTelemetry's others hold too",
    "HOSTLER_URL": "the server, for commands that ask one",
    "HOSTLER_API_KEY": "its key, for commands that ask one; else `API_KEY`",
}
"""Variables that are no settings: read by the command line or by libraries."""


def page() -> str:
    return document(
        "Settings, keys and variables",
        _LEAD,
        "## Settings",
        "*At once*: a [reload](../configuration.md#changes-while-it-runs) puts it in force; all others need a restart.",
        table(["setting, variable", "default", "values", "meaning"], map(_setting, _effective())),
        "## Accepted without effect",
        "From older files; each is a warning at the start.",
        table(["setting", "instead"], ([code(name), remedy] for name, remedy in WITHOUT_EFFECT.items())),
        "## Keys of a model",
        "Under `models:`, below the model's id. Where the default is a setting's name, that setting holds.",
        table(["key", "default", "values", "meaning"], _rows(ModelEntry)),
        "## Keys of a source",
        "Under a model's `source:`.",
        table(["key", "default", "values", "meaning"], _rows(SourceEntry)),
        "## Other variables",
        table(["variable", "meaning"], ([code(name), text] for name, text in _NAMES_OF_OTHERS.items())),
    )


def _effective() -> list[str]:
    return [name for name in Settings.model_fields if name not in WITHOUT_EFFECT]


def _setting(name: str) -> list[str]:
    field = Settings.model_fields[name]
    variables = ", ".join(code(alias.upper()) for alias in _names(name, field))
    meaning = paragraph(field_docstrings(Settings).get(name))
    return [
        variables if name in ENVIRONMENT_ONLY else f"{code(name)} {variables}",
        _default(field),
        _values(Settings, name),
        f"{meaning} *At once.*" if name in LIVE else meaning,
    ]


def _names(name: str, field: FieldInfo) -> list[str]:
    alias = field.validation_alias
    return [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else [name]


def _rows(model: type[BaseModel]) -> list[list[str]]:
    texts = {**field_docstrings(Settings), **field_docstrings(model)}
    return [
        [code(name), _key_default(name, field), _values(model, name), paragraph(texts.get(name))]
        for name, field in model.model_fields.items()
    ]


def _key_default(name: str, field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    setting = {"device": "default_device", "keep_alive": "auto_unload_after_minutes"}.get(name, name)
    if field.default is None and setting in Settings.model_fields:
        return code(setting)
    return _default(field)


def _default(field: FieldInfo) -> str:
    with _as_on_a_usual_machine():
        value = field.get_default(call_default_factory=True, validated_data={})
    match value:
        case _ if value is PydanticUndefined:
            return "needed"
        case None | []:
            return "none"
        case bool():
            return code(str(value).lower())
        case float():
            return code(f"{value:g}")
        case MemoryBudget(share=float(share)):
            return code(f"{share:.0%}")
        case Path():
            return code(f"~/{value.relative_to(Path.home())}")
    return code(str(value))


@contextmanager
def _as_on_a_usual_machine() -> Iterator[None]:
    """Some defaults follow the environment."""
    own = os.environ.pop("XDG_CONFIG_HOME", None)
    try:
        yield
    finally:
        if own is not None:
            os.environ["XDG_CONFIG_HOME"] = own


def _values(model: type[BaseModel], name: str) -> str:
    if model.model_fields[name].annotation is MemoryBudget:
        return "bytes, or a share such as `80%`"
    schema = model.model_json_schema()
    properties: dict[str, Any] = schema["properties"]
    found: dict[str, Any] = properties[name]
    definitions = schema.get("$defs", {})
    while "$ref" in found:
        target = found["$ref"].rpartition("/")[2]
        if target == SourceEntry.__name__:
            break
        found = definitions[target]
    return in_words(found, links=False)
