"""Notices that a file has changed."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

INTERVAL_S = 1.0
"""Between two looks. A change is told at the second look that finds it the same."""

Fingerprint = tuple[int, int, int, int]


class FileWatch:
    """A file and how it was when it was last told to be new.

    Editors replace files by others or write them in steps, and a Kubernetes volume swaps a link, so a file is known by
    what its name leads to, and is new only once two looks in a row have found the same.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._told = self._seen = self._fingerprint()

    def look(self) -> bool:
        """Whether it is another than the last that was told, and complete. One that is gone is waited for."""
        found = self._fingerprint()
        is_stable = found == self._seen
        self._seen = found
        if found is None or not is_stable or found == self._told:
            return False
        self._told = found
        return True

    def _fingerprint(self) -> Fingerprint | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


async def _pause() -> None:
    await asyncio.sleep(INTERVAL_S)


async def watch(
    file: FileWatch, on_change: Callable[[], Awaitable[None]], pause: Callable[[], Awaitable[None]] = _pause
) -> None:
    """Call back after each change, until cancelled. `pause` passes the time between two looks."""
    while True:
        await pause()
        if await asyncio.to_thread(file.look):
            await on_change()
