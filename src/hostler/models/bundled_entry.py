"""The entry that a model has in a bundle's registry: what belongs to the model, not to the machine it was pulled on."""

import math
from typing import Any

from hostler.config import Settings
from hostler.models.source import LocalModel, hub_source
from hostler.registry import FolderSource, ModelSpec, PackageSource

_KEPT_WHERE_CHANGED = (
    *("torch_dtype", "trust_remote_code", "use_fast_tokenizer", "default_max_length", "max_num_seqs"),
    *("max_queued_requests", "max_num_batched_tokens", "reuse_prefixes"),
)
"""`device` is the other machine's affair. `gated` and `allow_pickle` are settled once the weights are here as
safetensors."""


def bundled_entry(spec: ModelSpec) -> dict[str, Any]:
    """As `ModelEntry` reads it, without a source: what the file, or the settings, said of it beyond the defaults."""
    entry: dict[str, Any] = {
        "name": spec.name,
        "type": spec.type.value,
        "size": spec.size,
        "description": spec.description,
        "max_length": spec.max_length,
        "suggested_temperature": spec.suggested_temperature,
    }
    for key in _KEPT_WHERE_CHANGED:
        if getattr(spec, key) != Settings.model_fields[key].default:
            entry[key] = getattr(spec, key)
    if spec.kv_cache_bytes is not None:
        entry["kv_cache_memory"] = spec.kv_cache_bytes
    if spec.pinned:
        entry["pinned"] = True
    if spec.keep_alive_s is not None:
        entry["keep_alive"] = -1 if math.isinf(spec.keep_alive_s) else spec.keep_alive_s
    return entry


def origin_of(spec: ModelSpec, local: LocalModel) -> str:
    """Where its files came from, for the manifest; no path of this machine."""
    if isinstance(spec.source, FolderSource):
        return "folder"
    if isinstance(spec.source, PackageSource) and local.revision is None:
        return f"package {spec.source.package}"
    return f"hub {hub_source(spec.source).repo_id}"
