"""What the control groups that this process is in allow it: how a container, or a unit of systemd, is bounded."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

MOUNT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
"""A line `0::/path` with version 2, and with version 1 one such line for each controller."""


def memory_limits() -> Iterator[int]:
    """Bytes, of the process's own group and of those around it, where there is a limit."""
    for group, file in _memory_groups():
        for path in (group, *group.parents):
            try:
                yield int((MOUNT / path.relative_to("/") / file).read_text())
            except (OSError, ValueError):  # not there, or `max`
                continue


def _memory_groups() -> Iterator[tuple[PurePosixPath, str]]:
    """The process's groups that bound its memory, and the file of each that says how. Inside a container its group may
    be named as it is outside, and what is mounted is the container's own: its parents lead there."""
    try:
        lines = MEMBERSHIP.read_text().splitlines()
    except OSError:  # no Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield PurePosixPath(path), "memory.max"
        elif "memory" in controllers.split(","):
            yield PurePosixPath("/memory" + path), "memory.limit_in_bytes"
