"""Downloads the files of a repository one by one, so that what broke off goes on where it ended.

huggingface_hub begins a file anew that broke off. Here a file grows beside its final place in the hub's cache and takes
that place once it is whole; huggingface_hub finds it there and fetches it no more.
"""

import hashlib
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from http import HTTPStatus
from io import BufferedWriter
from pathlib import Path
from time import sleep

import httpx2
import huggingface_hub
from filelock import FileLock
from huggingface_hub import get_session, hf_raise_for_status

from hostler.errors import ModelLoadError
from hostler.models.hub import REQUEST_TIMEOUT_S, HubAccess, choose_files
from hostler.models.hub_errors import translate
from hostler.quantities import format_bytes
from hostler.registry import HubSource

OnBytes = Callable[[int], None]
"""Told how many bytes of a file are here now."""

_CHUNK_BYTES = 2**18
_MAX_TRIES = 5
"""Without a byte in between."""
_PAUSE_S = 1.0
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FOREIGN_ERRORS = (OSError, httpx2.HTTPError, ValueError, RuntimeError)
_BROKEN_LINE = (httpx2.ConnectError, httpx2.TimeoutException, httpx2.RemoteProtocolError, httpx2.ReadError)


@dataclass(frozen=True)
class RemoteFile:
    """One file of a repository, and how much of it is here."""

    name: str
    num_bytes: int
    path: Path
    """Where it will be, under the name that the hub's cache gives its content."""
    done_bytes: int

    @property
    def partial(self) -> Path:
        """Where it grows."""
        return self.path.with_name(f"{self.path.name}.pulled")


@dataclass(frozen=True)
class RemoteModel:
    """What is needed of a repository at one commit."""

    source: HubSource
    commit: str
    files: tuple[RemoteFile, ...]

    @property
    def num_bytes(self) -> int:
        return sum(file.num_bytes for file in self.files)

    @property
    def done_bytes(self) -> int:
        return sum(file.done_bytes for file in self.files)


def cache_folder(hub: HubAccess) -> Path:
    """The folder with `models--*`, which need not exist yet."""
    return hub.cache_dir or Path(huggingface_hub.constants.HF_HUB_CACHE)


def look_up(source: HubSource, hub: HubAccess, *, allow_pickle: bool, with_code: bool) -> RemoteModel:
    """Ask the hub which files a download would fetch. Blocks.

    Raises:
        GatedModelError: the hub wants a token, or refuses the one it got.
        ModelLoadError: the hub cannot be asked, or has no model there that could be used.
    """
    try:
        api = huggingface_hub.HfApi(endpoint=hub.endpoint, token=hub.credentials)
        found = api.model_info(source.repo_id, revision=source.revision, files_metadata=True, timeout=REQUEST_TIMEOUT_S)
    except _FOREIGN_ERRORS as exc:
        raise translate(exc, source, has_token=hub.token is not None) from exc
    siblings = {file.rfilename: file for file in found.siblings or ()}
    _, names = choose_files(source, siblings, allow_pickle=allow_pickle, with_code=with_code)
    blobs = cache_folder(hub) / _folder_name(source) / "blobs"
    files = []
    for name in names:
        sibling = siblings[name]
        digest = sibling.lfs.sha256 if sibling.lfs is not None else sibling.blob_id
        if not digest or found.sha is None:
            raise ModelLoadError(f"the hub does not say what {name} of {source.repo_id} is; try again later")
        files.append(_as_it_is_here(name, sibling.size or 0, blobs / digest))
    return RemoteModel(source, found.sha or "", tuple(files))


def check_space(models: Iterable[RemoteModel], hub: HubAccess) -> None:
    """See that what is missing of all of them fits on the disk.

    Raises:
        ModelLoadError: it does not; has the numbers.
    """
    missing = sum(model.num_bytes - model.done_bytes for model in models)
    folder = cache_folder(hub)
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if missing > free:
        raise ModelLoadError(
            f"{format_bytes(missing)} have to be downloaded and the disk of {folder} has {format_bytes(free)} free:"
            f" free {format_bytes(missing - free)} more, or name a folder on another disk with cache_dir or HF_HOME"
        )


def download(model: RemoteModel, file: RemoteFile, hub: HubAccess, on_bytes: OnBytes) -> None:
    """Fetch what is missing of a file. Blocks; broken off at any moment, it keeps what has come.

    Raises:
        GatedModelError: the hub wants a token, or refuses the one it got.
        ModelLoadError: anything else that went wrong.
    """
    # The lock that huggingface_hub itself takes for this file.
    lock = cache_folder(hub) / ".locks" / _folder_name(model.source) / f"{file.path.name}.lock"
    try:
        for folder in (file.path.parent, lock.parent):
            folder.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            if not file.path.exists():
                _grow(model, file, hub, on_bytes)
                file.partial.rename(file.path)
    except _FOREIGN_ERRORS as exc:
        raise translate(exc, model.source, has_token=hub.token is not None) from exc
    on_bytes(file.num_bytes)


def _folder_name(source: HubSource) -> str:
    return f"models--{source.repo_id.replace('/', '--')}"


def _as_it_is_here(name: str, num_bytes: int, path: Path) -> RemoteFile:
    file = RemoteFile(name, num_bytes, path, 0)
    there = next((place for place in (file.path, file.partial) if place.exists()), None)
    done_bytes = min(there.stat().st_size, num_bytes) if there is not None else 0
    return replace(file, done_bytes=done_bytes)


def _grow(model: RemoteModel, file: RemoteFile, hub: HubAccess, on_bytes: OnBytes) -> None:
    url = huggingface_hub.hf_hub_url(model.source.repo_id, file.name, revision=model.commit, endpoint=hub.endpoint)
    headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {hub.token}"} if hub.token else {})
    with file.partial.open("ab") as target:
        began_at = target.tell()
        num_failures = 0
        while (done := target.tell()) < file.num_bytes:
            try:
                _append(url, headers, target, on_bytes)
            except _BROKEN_LINE:
                num_failures = 1 if target.tell() > done else num_failures + 1
                if num_failures == _MAX_TRIES:
                    raise
                # A line that is down comes back, or does not; nothing tells when.
                sleep(_PAUSE_S)
    if file.partial.stat().st_size != file.num_bytes or (began_at and not _is_intact(file)):
        file.partial.unlink()
        raise ModelLoadError(f"{file.name} of {model.source.repo_id} came damaged and was thrown away; pull it again")


def _append(url: str, headers: dict[str, str], target: BufferedWriter, on_bytes: OnBytes) -> None:
    done_bytes = target.tell()
    if done_bytes:
        headers = {**headers, "Range": f"bytes={done_bytes}-"}
    with get_session().stream("GET", url, headers=headers, timeout=REQUEST_TIMEOUT_S) as response:
        if response.is_error:
            response.read()
        hf_raise_for_status(response)
        if done_bytes and response.status_code != HTTPStatus.PARTIAL_CONTENT:  # it sends the whole file again
            target.truncate(0)
            target.seek(0)
        on_bytes(target.tell())
        for chunk in response.iter_bytes(_CHUNK_BYTES):
            target.write(chunk)
            target.flush()  # on the disk whenever this process is ended
            on_bytes(target.tell())


def _is_intact(file: RemoteFile) -> bool:
    """Whether pieces of several tries make the content that the hub named. Small files have no such digest and come in
    one piece, or nearly so."""
    if _SHA256.fullmatch(file.path.name) is None:
        return True
    with file.partial.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == file.path.name
