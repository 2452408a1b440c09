"""A folder with models and the registry that names them: carried to a machine without a network and served there.

    models.yaml      the registry; its sources are relative, so that the folder may lie anywhere
    manifest.json    every file with its size and digest, and where it came from
    models/ID/       config, tokenizer and safetensors, as save_pretrained writes them

Plain files, no links: the folder survives file systems that have none, archives and object stores.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import yaml
from filelock import FileLock, Timeout

from hostler import __version__
from hostler.errors import ConfigError, ServiceError
from hostler.models.bundle_manifest import (
    CHUNK_BYTES,
    MANIFEST_NAME,
    MODELS_FOLDER,
    BundledFile,
    BundledModel,
    Manifest,
    differences,
    encode_manifest,
    read_manifest,
    sha256_of,
)
from hostler.quantities import format_bytes

REGISTRY_NAME = "models.yaml"

OnBytes = Callable[[int, int], None]
"""Told how many bytes are copied, and of how many."""

_LOCK_NAME = ".lock"
_DIGEST_LINE = "# sha256 of the lines below: "
_HEADING = "# Written by 'hostler pull --to'; serve it with 'hostler serve --config' and this file's path.\n"


class Bundle:
    """One such folder while it is written to. What is interrupted leaves a folder that the same call completes."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Use `opened`."""
        self.folder = folder
        self._manifest = manifest

    @classmethod
    @contextmanager
    def opened(cls, folder: Path) -> Iterator["Bundle"]:
        """For one writer at a time; made where there is nothing yet.

        Raises:
            ConfigError: there is something else at that place, or another process writes to it.
            ServiceError: it cannot be written.
        """
        refuse_foreign_folder(folder)  # before a lock is put into it
        lock = FileLock(folder / _LOCK_NAME, timeout=0)
        with _disk_errors_told(folder):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire()
            except Timeout as exc:
                raise ConfigError(f"{folder}: another 'hostler pull' writes to it; wait until it has ended") from exc
        try:
            bundle = cls(folder, _manifest_of(folder))
            with _disk_errors_told(folder):
                bundle._save()
            yield bundle
        finally:
            lock.release()

    def add(
        self,
        model_id: str,
        entry: Mapping[str, Any],
        files: Mapping[str, Path],
        *,
        origin: str,
        commit: str | None,
        on_bytes: OnBytes,
    ) -> bool:
        """Put a model into the folder, or bring the one of that id up to date; false: it was complete already.

        `entry`: for the registry, without a source. `files`: by their names in the model's folder.

        Raises:
            ConfigError: there is a folder of that name which no manifest knows.
            ServiceError: there is no room, or it cannot be written.
        """
        with _disk_errors_told(self.folder):
            return self._add(model_id, entry, files, origin=origin, commit=commit, on_bytes=on_bytes)

    def _add(
        self,
        model_id: str,
        entry: Mapping[str, Any],
        files: Mapping[str, Path],
        *,
        origin: str,
        commit: str | None,
        on_bytes: OnBytes,
    ) -> bool:
        target = self.folder / MODELS_FOLDER / model_id
        known = self._manifest.models.get(model_id)
        if known is None and target.exists():
            raise ConfigError(f"{target} is not of this bundle's making; move it away, or name another folder")
        source = {"source": {"folder": f"{MODELS_FOLDER}/{model_id}"}}
        digests = tuple(
            BundledFile(path=name, num_bytes=path.stat().st_size, sha256=sha256_of(path))
            for name, path in sorted(files.items())
        )
        model = BundledModel(origin=origin, commit=commit, entry={**entry, **source}, files=digests)
        is_complete = known is not None and known.files == digests and not list(differences(target, digests))
        if not is_complete:
            staging = target.with_name(f".incoming-{model_id}")
            self._copy(files, staging, digests, on_bytes)
        # The manifest goes first: a folder that it does not know counts as somebody else's.
        self._manifest = msgspec.structs.replace(self._manifest, models={**self._manifest.models, model_id: model})
        self._save()
        if not is_complete:
            _replace_folder(target, staging)
        return not is_complete

    def _copy(
        self, files: Mapping[str, Path], staging: Path, wanted: tuple[BundledFile, ...], on_bytes: OnBytes
    ) -> None:
        """Bring a folder to hold exactly these files; what an earlier try has copied stays."""
        staging.mkdir(parents=True, exist_ok=True)
        names = {file.path for file in wanted}
        for path in [path for path in staging.rglob("*") if not path.is_dir()]:
            if path.relative_to(staging).as_posix() not in names:
                path.unlink()
        absent = [file for file in wanted if not _is_there(staging, file)]
        total_bytes = sum(file.num_bytes for file in wanted)
        needed_bytes = sum(file.num_bytes for file in absent)
        _check_room(self.folder, needed_bytes)
        done_bytes = total_bytes - needed_bytes
        on_bytes(done_bytes, total_bytes)
        for file in absent:
            for num_bytes in _copy_file(files[file.path], staging / file.path, file):
                done_bytes += num_bytes
                on_bytes(done_bytes, total_bytes)

    def _save(self) -> None:
        self._manifest = msgspec.structs.replace(self._manifest, made_by=f"hostler {__version__}")
        _write_whole(self.folder / MANIFEST_NAME, encode_manifest(self._manifest))
        if self._manifest.models:
            _write_whole(self.folder / REGISTRY_NAME, _registry_text(self._manifest).encode())


def refuse_foreign_folder(folder: Path) -> None:
    """Nothing is written.

    Raises:
        ConfigError: the folder is no bundle that could be written to, and holds something.
    """
    _manifest_of(folder)


def _manifest_of(folder: Path) -> Manifest:
    """Of a bundle that may be written to.

    Raises:
        ConfigError: it is none, or its registry was changed by hand.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        if folder.exists() and (not folder.is_dir() or any(path.name != _LOCK_NAME for path in folder.iterdir())):
            raise ConfigError(
                f"{folder} holds something else than what 'hostler pull --to' writes; name a new or an empty folder"
            )
        return Manifest(models={}, made_by="")
    registry = folder / REGISTRY_NAME
    if registry.exists() and not _is_as_written(registry.read_text(encoding="utf-8", errors="replace")):
        raise ConfigError(
            f"{registry} was changed by hand and would be written anew; move it away, pull, and make the changes again"
        )
    return manifest


def _registry_text(manifest: Manifest) -> str:
    models = {model_id: model.entry for model_id, model in manifest.models.items()}
    body = yaml.safe_dump({"models": models}, sort_keys=False, allow_unicode=True)
    return f"{_HEADING}{_DIGEST_LINE}{hashlib.sha256(body.encode()).hexdigest()}\n{body}"


def _is_as_written(text: str) -> bool:
    _, mark, rest = text.partition(_DIGEST_LINE)
    digest, _, body = rest.partition("\n")
    return bool(mark) and hashlib.sha256(body.encode()).hexdigest() == digest


def _is_there(folder: Path, file: BundledFile) -> bool:
    path = folder / file.path
    return path.is_file() and path.stat().st_size == file.num_bytes and sha256_of(path) == file.sha256


def _check_room(folder: Path, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(folder).free
    if needed_bytes > free_bytes:
        raise ServiceError(
            f"{folder} has room for {format_bytes(free_bytes)}, and {format_bytes(needed_bytes)} are to be copied;"
            " free some, or name a folder on another disk"
        )


def _copy_file(source: Path, target: Path, file: BundledFile) -> Iterator[int]:
    """Yields the bytes of each piece; the file has its name once it is whole and on the disk.

    Raises:
        ServiceError: the source has changed since its digest was taken.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.partial")
    digest = hashlib.sha256()
    with source.open("rb") as reading, partial.open("wb") as writing:
        while chunk := reading.read(CHUNK_BYTES):
            writing.write(chunk)
            digest.update(chunk)
            yield len(chunk)
        writing.flush()
        os.fsync(writing.fileno())
    if digest.hexdigest() != file.sha256:
        raise ServiceError(f"{source.name} changed while it was copied; pull again")
    partial.replace(target)


def _replace_folder(target: Path, staging: Path) -> None:
    outgoing = target.with_name(f".outgoing-{target.name}")
    shutil.rmtree(outgoing, ignore_errors=True)
    if target.exists():
        target.rename(outgoing)
    staging.rename(target)
    shutil.rmtree(outgoing, ignore_errors=True)


def _write_whole(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.partial")
    temporary.write_bytes(content)
    temporary.replace(path)


@contextmanager
def _disk_errors_told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise ServiceError(
            f"{folder}: cannot be written ({exc.strerror or exc}); name another folder, or free room"
        ) from exc
