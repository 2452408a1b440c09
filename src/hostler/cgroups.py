"""What the control groups that this process is in allow it: how a container, or a unit of systemd, is bounded."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

MOUNT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
"""A line `0::/path` with version 2, and with version 1 one such line for each controller."""


@dataclass(frozen=True)
class _Names:
    """How a version of control groups calls what it tells of memory."""

    limit: str
    usage: str
    reclaimable: str
    """In `memory.stat`: files that were read and not used lately, which make way for whoever wants memory."""


_VERSION_1 = _Names("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_VERSION_2 = _Names("memory.max", "memory.current", "inactive_file")


def memory_limits() -> Iterator[int]:
    """Bytes, of the process's own group and of those around it, where there is a limit."""
    for folder, names in _memory_folders():
        if (limit := _number_in(folder / names.limit)) is not None:
            yield limit


def memory_left() -> Iterator[int]:
    """Bytes that each of these groups may still take."""
    for folder, names in _memory_folders():
        limit, usage = _number_in(folder / names.limit), _number_in(folder / names.usage)
        if limit is not None and usage is not None:
            yield max(0, limit - usage + _stat(folder, names.reclaimable))


def _memory_folders() -> Iterator[tuple[Path, _Names]]:
    """Of the process's groups that bound its memory, and of those around them. Inside a container its group may be
    named as it is outside, and what is mounted is the container's own: its parents lead there."""
    try:
        lines = MEMBERSHIP.read_text().splitlines()
    except OSError:  # no Linux
        return
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if not controllers:
            group, names = PurePosixPath(name), _VERSION_2
        elif "memory" in controllers.split(","):
            group, names = PurePosixPath("/memory" + name), _VERSION_1
        else:
            continue
        for path in (group, *group.parents):
            yield MOUNT / path.relative_to("/"), names


def _number_in(file: Path) -> int | None:
    """`None`: it is not there, or says `max`."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def _stat(folder: Path, name: str) -> int:
    """0 where it is not told."""
    try:
        lines = (folder / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(value) for key, _, value in (line.partition(" ") for line in lines) if key == name), 0)
