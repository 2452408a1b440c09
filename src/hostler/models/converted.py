"""Where the converted weights of a model are kept; `hostler.models.convert` puts them there."""

import hashlib
from pathlib import Path

from hostler.models.source import LocalModel

_LAYOUT_VERSION = 1
"""Counts changes of what a conversion writes; older results are then left alone and not used."""


def converted_folder(local: LocalModel, cache: Path, *, name: str) -> Path:
    """Readable, and different whenever a file that the result depends on is. Exists once it is complete.

    A commit fixes the content of its files; other files are known by path, size and time of change.

    Raises:
        OSError: the model's files cannot be looked at.
    """
    if local.gguf_file is not None:
        files = [local.folder / local.gguf_file]
    else:
        files = sorted(path for path in local.folder.iterdir() if path.is_file())
    digest = hashlib.sha256(f"{_LAYOUT_VERSION}".encode())
    for file in files:
        status = file.stat()
        version = local.revision or f"{file.resolve()} {status.st_mtime_ns}"
        digest.update(f"{file.name} {status.st_size} {version}\n".encode())
    return cache / f"{name.replace('/', '--')}-{digest.hexdigest()[:16]}"
