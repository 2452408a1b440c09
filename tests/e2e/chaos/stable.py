"""Eight tiny models, one of each architecture in the shipped registry, and registry files that name them."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from tests.tiny_models import FAMILIES, build_tiny_model

PATIENT = ("llama", "gpt_neox")
"""Those whose answers may be long: rotary embeddings know no last position but the one in `config.json`."""
LONG = 4096
SHORT = 128


def build_stable(folder: Path) -> Path:
    """Write all models of `FAMILIES` into `folder`, each under its own name, and return it."""
    for family in FAMILIES:
        build_tiny_model(family, folder / family)
    for family in PATIENT:
        path = folder / family / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "max_position_embeddings": LONG}))
    return folder


def write_registry(
    path: Path,
    settings: Mapping[str, object],
    model_ids: Collection[str] = FAMILIES,
    *,
    extra: Mapping[str, Mapping[str, object]] | None = None,
) -> Path:
    """A registry of these models beside their folders. `extra`: by model id, what its entry has besides; `folder`
    names another model's folder."""
    extra = extra or {}
    models = {model_id: _entry(model_id, extra.get(model_id, {})) for model_id in model_ids}
    # JSON is YAML.
    path.write_text(json.dumps({"settings": dict(settings), "models": models}, indent=2))
    return path


def _entry(model_id: str, extra: Mapping[str, object]) -> dict[str, object]:
    own = {key: value for key, value in extra.items() if key != "folder"}
    return {
        "name": f"tests/{model_id}",
        "type": "text",
        "size": "1M",
        "description": "Random weights",
        "max_length": LONG if model_id in PATIENT else SHORT,
        "kv_cache_memory": "16MiB",
        "source": {"folder": str(extra.get("folder", model_id))},
        **own,
    }
