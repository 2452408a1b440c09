"""Downloads from the Hugging Face hub, and what is in its cache already."""

import glob
import logging
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import huggingface_hub
from huggingface_hub.errors import CachedRepoTreeNotFoundError, XetDownloadError
from huggingface_hub.utils.tqdm import tqdm

from hostler.errors import ModelLoadError
from hostler.models.hub_errors import translate
from hostler.models.repository_files import (
    TOKENIZER_FILES,
    WeightsFormat,
    check_format_allowed,
    choose_supporting_files,
    choose_weights,
    missing_shards,
)
from hostler.registry import HubSource
from hostler.types import LoadProgress

logger = logging.getLogger(__name__)

REQUEST_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class HubAccess:
    """Where the hub is, who asks, and where its files are kept."""

    cache_dir: Path | None = None
    """Folder with `models--*`; `None`: huggingface_hub's own choice."""
    token: str | None = field(default=None, repr=False)
    """`None` asks as nobody: a token that huggingface_hub may find on this machine is not used."""
    endpoint: str | None = None
    """`None`: `HF_ENDPOINT`, else huggingface.co."""

    @property
    def credentials(self) -> str | bool:
        """As huggingface_hub's `token=` takes it."""
        return self.token or False


@dataclass(frozen=True)
class Snapshot:
    """One commit of a repository in the cache, with all the files that are needed of it."""

    folder: Path
    commit: str
    weights_format: WeightsFormat


def find_cached_snapshot(source: HubSource, hub: HubAccess, *, with_code: bool) -> Snapshot | None:
    """What the cache holds of the revision, if that is complete; never touches the network."""
    probe = source.file or "config.json"
    path = huggingface_hub.try_to_load_from_cache(
        source.repo_id, probe, cache_dir=hub.cache_dir, revision=source.revision
    )
    if not isinstance(path, str):
        return None
    folder = Path(path)
    for _ in Path(probe).parts:
        folder = folder.parent
    if source.file is not None:
        return Snapshot(folder, folder.name, WeightsFormat.GGUF)
    names = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    weights = choose_weights(names)
    if weights is None:
        return None
    try:
        tree = huggingface_hub.get_cached_repo_tree(source.repo_id, revision=folder.name, cache_dir=hub.cache_dir)
        wanted = choose_weights([file.path for file in tree])
        supporting = choose_supporting_files([file.path for file in tree], with_code=with_code)
        is_complete = names.issuperset(supporting) and wanted is not None and names.issuperset(wanted.names)
    except CachedRepoTreeNotFoundError:
        # Put there by an older library that kept no listing.
        is_complete = not TOKENIZER_FILES.isdisjoint(names)
    if not is_complete or missing_shards(folder, weights, names):
        return None
    return Snapshot(folder, folder.name, weights.format)


def download_snapshot(
    source: HubSource,
    hub: HubAccess,
    *,
    allow_pickle: bool,
    with_code: bool,
    on_progress: Callable[[LoadProgress], None],
) -> Snapshot:
    """Download what is needed of a repository, and no more; files that are in the cache are not fetched again.

    Raises:
        GatedModelError: the hub wants a token, or refuses the one it got.
        ModelLoadError: anything else that went wrong, in words for the caller.
    """
    logger.info("download_started repo=%s revision=%s", source.repo_id, source.revision or "main")
    try:
        sizes = _list_files(source, hub)
        weights_format, names = choose_files(source, sizes, allow_pickle=allow_pickle, with_code=with_code)
        total_bytes = sum(sizes[name] for name in names)
        folder = huggingface_hub.snapshot_download(
            source.repo_id,
            revision=source.revision,
            cache_dir=hub.cache_dir,
            token=hub.credentials,
            endpoint=hub.endpoint,
            allow_patterns=[glob.escape(name) for name in names],
            tqdm_class=_progress_class(total_bytes, on_progress),
        )
    except (OSError, httpx2.HTTPError, XetDownloadError, ValueError, RuntimeError) as exc:
        logger.warning("download_failed repo=%s error=%s", source.repo_id, type(exc).__name__, exc_info=exc)
        raise translate(exc, source, has_token=hub.token is not None) from exc
    # Files that an earlier try had finished were not counted on the way.
    on_progress(LoadProgress(stage="downloading", done_bytes=total_bytes, total_bytes=total_bytes))
    snapshot = Snapshot(Path(folder), Path(folder).name, weights_format)
    logger.info("download_done repo=%s commit=%s", source.repo_id, snapshot.commit)
    return snapshot


def _list_files(source: HubSource, hub: HubAccess) -> dict[str, int]:
    """Name → bytes of every file at the revision."""
    api = huggingface_hub.HfApi(endpoint=hub.endpoint, token=hub.credentials)
    found = api.model_info(source.repo_id, revision=source.revision, files_metadata=True, timeout=REQUEST_TIMEOUT_S)
    return {file.rfilename: file.size or 0 for file in found.siblings or ()}


def choose_files(
    source: HubSource, names: Collection[str], *, allow_pickle: bool, with_code: bool
) -> tuple[WeightsFormat, list[str]]:
    """What is needed of a repository that has files of these names.

    Raises:
        ModelLoadError: there are no weights that could be used.
    """
    if source.file is not None:
        if source.file not in names:
            raise ModelLoadError(f"{source.repo_id} has no file {source.file!r} on the hub")
        return WeightsFormat.GGUF, [source.file]
    if "config.json" not in names:
        raise ModelLoadError(f"{source.repo_id} has no config.json on the hub, so it is no transformers model")
    weights = choose_weights(names)
    if weights is None:
        raise ModelLoadError(f"{source.repo_id} has neither safetensors nor pytorch_model.bin on the hub")
    check_format_allowed(weights.format, source.repo_id, allow_pickle=allow_pickle)
    return weights.format, [*choose_supporting_files(names, with_code=with_code), *weights.names]


def _progress_class(total_bytes: int, on_progress: Callable[[LoadProgress], None]) -> type[tqdm]:
    """A progress bar that draws nothing and reports bytes.

    huggingface_hub makes one bar for bytes received, one for bytes written, and one that counts files. Bytes may
    arrive deduplicated or be there from an earlier try, so the bar that is furthest on tells how much is done.
    """
    lock = threading.Lock()
    done_bytes = 0

    class ProgressBar(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **(kwargs | {"disable": True}))  # type: ignore[no-untyped-call]
            self._counts_bytes = kwargs.get("unit") == "B"
            self._own_bytes = 0

        def update(self, n: float | None = 1) -> None:
            nonlocal done_bytes
            if not self._counts_bytes:
                return
            with lock:
                self._own_bytes += int(n or 0)
                if self._own_bytes > done_bytes:
                    done_bytes = min(self._own_bytes, total_bytes)
                    on_progress(LoadProgress(stage="downloading", done_bytes=done_bytes, total_bytes=total_bytes))

    on_progress(LoadProgress(stage="downloading", total_bytes=total_bytes))
    return ProgressBar
