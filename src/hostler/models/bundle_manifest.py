"""What a bundle holds, file by file, and whether that is still so."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from hostler.struct import Struct

MANIFEST_NAME = "manifest.json"
MODELS_FOLDER = "models"
"""Holds a folder for each model, under its id."""

_FORMAT = "hostler-bundle-1"
CHUNK_BYTES = 2**20


class BundledFile(Struct, frozen=True):
    """One file of a model's folder."""

    path: str
    """Below that folder, with `/`."""
    num_bytes: int
    sha256: str


class BundledModel(Struct, frozen=True):
    """One model, and the entry that the bundle's registry has for it."""

    origin: str
    """Repository, package or `folder`: where its files came from."""
    commit: str | None
    """Of the repository; `None` where it came from elsewhere."""
    entry: dict[str, Any]
    files: tuple[BundledFile, ...]

    @property
    def num_bytes(self) -> int:
        return sum(file.num_bytes for file in self.files)


class Manifest(Struct, frozen=True):
    """Everything in a bundle besides its registry file."""

    models: Mapping[str, BundledModel]
    """By id, in the order in which they came."""
    made_by: str
    """Name and version of what wrote it last."""
    format: str = _FORMAT


def read_manifest(bundle: Path) -> Manifest | None:
    """The manifest of a folder; `None` where there is none that a bundle has."""
    try:
        manifest = msgspec.json.decode((bundle / MANIFEST_NAME).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError):
        return None
    return manifest if manifest.format == _FORMAT else None


def damage_of(bundle: Path, model_id: str) -> tuple[str, ...]:
    """`differences` of one model; none where the folder is no bundle, or one that does not have it."""
    manifest = read_manifest(bundle)
    model = manifest.models.get(model_id) if manifest is not None else None
    return tuple(differences(bundle / MODELS_FOLDER / model_id, model.files)) if model is not None else ()


def encode_manifest(manifest: Manifest) -> bytes:
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def sha256_of(path: Path) -> str:
    """Blocks while the file is read.

    Raises:
        OSError: it cannot be.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def differences(folder: Path, files: tuple[BundledFile, ...]) -> Iterator[str]:
    """What is otherwise in a model's folder than it should be, each as a sentence. Reads every file whole."""
    for file in files:
        if not _is_inside(file.path):
            yield f"The manifest names {file.path!r}, which is outside of the model's folder."
            continue
        path = folder / file.path
        if not path.is_file():
            yield f"{file.path} is missing."
        elif path.stat().st_size != file.num_bytes:
            yield f"{file.path} has {path.stat().st_size} bytes instead of {file.num_bytes}."
        elif sha256_of(path) != file.sha256:
            yield f"{file.path} has another content than when it was pulled."
    known = {file.path for file in files}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_dir() and name not in known:
            yield f"{name} was not there when it was pulled."


def _is_inside(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return bool(parts) and not PurePosixPath(path).is_absolute() and ".." not in parts
