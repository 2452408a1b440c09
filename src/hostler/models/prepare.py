"""Everything before a model can be loaded: its files fetched, and converted where they are no safetensors."""

from collections.abc import Callable
from pathlib import Path

from hostler.models.convert import convert
from hostler.models.hub import HubAccess
from hostler.models.repository_files import WeightsFormat
from hostler.models.source import LocalModel, fetch
from hostler.registry import ModelSpec
from hostler.types import LoadProgress


def prepare(
    spec: ModelSpec,
    *,
    cache_dir: str | None,
    hostler_cache_dir: str,
    hf_token: str | None,
    on_progress: Callable[[LoadProgress], None],
) -> LocalModel:
    """A model as safetensors on this machine. What is there already is neither fetched nor converted again.

    `on_progress` is called from other threads too while files are downloaded, but never twice at once.

    Raises:
        GatedModelError: the hub wants a token, or refuses the one it got.
        ModelLoadError: the files cannot be had or cannot be used.
    """
    hub = HubAccess(cache_dir=Path(cache_dir) if cache_dir is not None else None, token=hf_token)
    local = fetch(spec, hub, on_progress)
    if local.weights_format is WeightsFormat.SAFETENSORS:
        return local
    return convert(local, Path(hostler_cache_dir) / "converted", on_progress, name=spec.name)
