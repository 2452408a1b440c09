"""Two copies of the same weights under two names, and whether their bytes are in the system's page cache."""

import json
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

NAMES = ("swap-a", "swap-b")
DROP_CACHES = Path("/proc/sys/vm/drop_caches")
BLOCK_BYTES = 2**20
SUFFIXES = (".safetensors", ".gguf")


def prepare(folder: Path, weights: Path, gguf: Path | None) -> None:
    """Fill `folder` with what the servers are pointed at: a copy of the model for each name, so that no two share
    pages, a registry, and under `gguf/` the same for servers that read such files."""
    for name in NAMES:
        shutil.copytree(weights, folder / name)
        if gguf is not None:
            (folder / "gguf").mkdir(exist_ok=True)
            shutil.copyfile(gguf, folder / "gguf" / f"{name}.gguf")
    models = {
        name: {
            "name": f"benchmark/{name}",
            "type": "text",
            "size": "135M",
            "description": "To be switched",
            "max_length": 2048,
            "source": {"folder": name},
        }
        for name in NAMES
    }
    # JSON is YAML.
    (folder / "models.yaml").write_text(json.dumps({"settings": {"max_concurrent_models": 1}, "models": models}))


def files_of(folder: Path, name: str, suffix: str) -> list[Path]:
    """Weights of one name."""
    return [path for path in sorted(folder.rglob(f"*{suffix}")) if name in str(path.relative_to(folder))]


def forget(files: Iterable[Path]) -> str:
    """Have files that nobody maps out of the page cache; says by which means."""
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    try:
        DROP_CACHES.write_text("1")
    except OSError:
        return "posix_fadvise(DONTNEED) on the files"
    return "drop_caches"


def read_s(files: Iterable[Path]) -> float:
    """Seconds to read all of them from one end to the other."""
    buffer = bytearray(BLOCK_BYTES)
    began = time.perf_counter()
    for path in files:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
    return time.perf_counter() - began
