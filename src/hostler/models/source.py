"""Turns a model's `Source` into a folder on this machine; nothing is loaded and no torch is imported."""

import importlib.util
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hostler.errors import ModelLoadError
from hostler.models.hub import HubAccess, Snapshot, download_snapshot, find_cached_snapshot
from hostler.models.hub_errors import gated
from hostler.models.repository_files import WeightsFormat, check_format_allowed, choose_weights, missing_shards
from hostler.registry import FolderSource, HubSource, ModelSpec, PackageSource, Source
from hostler.types import LoadProgress

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LocalModel:
    """A model's files on this machine, complete."""

    folder: Path
    weights_format: WeightsFormat
    gguf_file: str | None = None
    """Name of the GGUF file in `folder`; set exactly when that is the format."""
    revision: str | None = None
    """Commit of the hub repository it came from, where it came from there."""


def fetch(spec: ModelSpec, hub: HubAccess, on_progress: Callable[[LoadProgress], None]) -> LocalModel:
    """Find a model's files, downloading what is not here yet.

    A revision that is complete in the hub cache is used as it is, without a word over the network. `on_progress` is
    called during downloads, from several threads but never from two at once.

    Raises:
        GatedModelError: the hub wants a token, or refuses the one it got.
        ModelLoadError: the files are not there, not complete or not allowed.
    """
    local = find_local(spec, hub)
    return local if local is not None else _download(spec, hub_source(spec.source), hub, on_progress)


def find_local(spec: ModelSpec, hub: HubAccess) -> LocalModel | None:
    """A model's files where they are complete on this machine; `None` where they would have to be downloaded.

    Raises:
        ModelLoadError: they can only be here, and are not, or they are not allowed.
    """
    source = spec.source
    if isinstance(source, PackageSource):
        if (folder := _find_package_file(source)) is not None:
            return LocalModel(folder, WeightsFormat.GGUF, source.file)
        source = source.otherwise
    if isinstance(source, FolderSource):
        return _fetch_folder(spec, source)
    snapshot = find_cached_snapshot(source, hub, with_code=spec.trust_remote_code)
    return None if snapshot is None else _of_snapshot(spec, source, snapshot)


def hub_source(source: Source) -> HubSource:
    """Where on the hub a model is that is not complete on this machine."""
    assert not isinstance(source, FolderSource), "a folder is nowhere else"
    return source.otherwise if isinstance(source, PackageSource) else source


def _find_package_file(source: PackageSource) -> Path | None:
    """The folder of the package that holds the file. The package is not imported: its own imports may be missing."""
    top_level, *inner = source.package.split(".")
    found = importlib.util.find_spec(top_level)
    folders = found.submodule_search_locations if found is not None else None
    for location in folders or ():
        folder = Path(location, *inner)
        if (folder / source.file).is_file():
            return folder
    logger.info(
        "package_file_missing package=%s file=%s repo=%s installed=%s",
        source.package,
        source.file,
        source.otherwise.repo_id,
        found is not None,
    )
    return None


def _fetch_folder(spec: ModelSpec, source: FolderSource) -> LocalModel:
    folder = Path(source.path)
    if not folder.is_dir():
        raise ModelLoadError(f"model {spec.id}: its source folder does not exist; correct 'source' in the registry")
    if source.file is not None:
        if not (folder / source.file).is_file():
            raise ModelLoadError(f"model {spec.id}: its source folder has no file {source.file!r}")
        return LocalModel(folder, WeightsFormat.GGUF, source.file)
    try:
        names = {path.name for path in folder.iterdir() if path.is_file()}
    except OSError as exc:
        raise ModelLoadError(f"model {spec.id}: its source folder cannot be read ({exc.strerror})") from exc
    if "config.json" not in names:
        raise ModelLoadError(
            f"model {spec.id}: its source folder has no config.json; name a folder as save_pretrained writes it,"
            " or a 'file' that ends in .gguf"
        )
    weights = choose_weights(names)
    if weights is None:
        raise ModelLoadError(f"model {spec.id}: its source folder has neither safetensors nor pytorch_model.bin")
    if missing := missing_shards(folder, weights, names):
        raise ModelLoadError(f"model {spec.id}: its source folder lacks {', '.join(missing)}")
    check_format_allowed(weights.format, f"the source folder of {spec.id}", allow_pickle=spec.allow_pickle)
    return LocalModel(folder, weights.format)


def _download(
    spec: ModelSpec, source: HubSource, hub: HubAccess, on_progress: Callable[[LoadProgress], None]
) -> LocalModel:
    if spec.gated and hub.token is None:
        # The registry knows what the hub would answer, also where the hub cannot be reached.
        raise gated(source.repo_id, has_token=False)
    snapshot = download_snapshot(
        source,
        hub,
        allow_pickle=spec.allow_pickle,
        with_code=spec.trust_remote_code,
        on_progress=on_progress,
    )
    return _of_snapshot(spec, source, snapshot)


def _of_snapshot(spec: ModelSpec, source: HubSource, snapshot: Snapshot) -> LocalModel:
    check_format_allowed(snapshot.weights_format, source.repo_id, allow_pickle=spec.allow_pickle)
    return LocalModel(snapshot.folder, snapshot.weights_format, source.file, snapshot.commit)
