"""All models that a configuration has: those of the registry's file, and those found on this machine."""

from pathlib import Path
from typing import Any

from hostler.config import Settings, in_force
from hostler.errors import ConfigError
from hostler.models.discovery import FoundModel, find_in_cache, find_in_folder
from hostler.models.hub import HubAccess
from hostler.registry import (
    FolderSource,
    HubSource,
    ModelEntry,
    ModelSpec,
    PackageSource,
    Registry,
    Source,
    SourceEntry,
    free_id,
    read_configuration,
)

_FOUND_IN = "Found in "


def is_found(spec: ModelSpec) -> bool:
    """Whether it is one of those that `discover` found, and not the file's own."""
    return spec.description.startswith(_FOUND_IN)


def read_catalogue(
    path: Path, command_line: dict[str, Any] | None = None, running: Settings | None = None
) -> tuple[Settings, Registry]:
    """Settings and models as the file, the environment, the command line and the disk have them now. Blocks.

    `running`: as `read_configuration` has it.

    Raises:
        ConfigError: one of them cannot be used.
    """
    settings, registry = read_configuration(path, command_line, running)
    effective = in_force(running, settings) if running else settings
    return settings, with_found(registry, effective, path.absolute().parent)


def with_found(registry: Registry, settings: Settings, base: Path) -> Registry:
    """The registry, and after its own models those that `discover` finds and that it does not have.

    `base`: where a relative folder starts.

    Raises:
        ConfigError: a place is no folder.
    """
    for place in settings.discover:
        if place == "cache":
            found = find_in_cache(HubAccess(cache_dir=settings.cache_dir))
        else:
            folder = base / Path(place).expanduser()
            if not folder.is_dir():
                raise ConfigError(f"discover: {place!r} is no folder; name folders, or 'cache' for the hub's cache")
            found = find_in_folder(folder)
        registry = _joined(registry, found, settings)
    return registry


def _joined(registry: Registry, found: list[FoundModel], settings: Settings) -> Registry:
    taken = {_place_of(spec.source) for spec in registry.values()}
    specs = dict(registry)
    for model in found:
        if _place_of(model.source) in taken or (model.is_pickled and not settings.allow_pickle):
            continue
        is_repository = isinstance(model.source, HubSource) and model.source.repo_id == model.name
        if is_repository and registry.answers_to(model.name):
            continue
        model_id = free_id(model.name, registry)
        name = model.name if is_repository else model_id
        specs[model_id] = _entry(model, name).spec(model_id, settings, Path())
        registry = Registry(specs)
    return registry


def _entry(model: FoundModel, name: str) -> ModelEntry:
    source, revision = None, None
    if isinstance(model.source, HubSource):
        revision = model.source.revision
        if model.source.file is not None:
            source = SourceEntry(hub=model.source.repo_id, file=model.source.file)
    else:
        source = SourceEntry(folder=Path(model.source.path), file=model.source.file)
    return ModelEntry(
        name=name,
        type=model.type,
        size=model.size,
        description=f"{_FOUND_IN}{model.place}",
        max_length=model.max_length,
        source=source,
        revision=revision,
        # Nobody who runs this server has looked at it.
        trust_remote_code=False,
    )


def _place_of(source: Source) -> tuple[str, str | None]:
    """What is the same for two sources of the same weights on this machine."""
    match source:
        case HubSource():
            return source.repo_id.casefold(), source.file
        case FolderSource():
            return str(Path(source.path).resolve()), source.file
        case PackageSource():
            return source.otherwise.repo_id.casefold(), source.file
