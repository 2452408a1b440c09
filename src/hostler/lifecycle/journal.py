"""What happened to the models, and why: the last of it, for whoever asks, and the rest as it happens."""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass

from hostler.lifecycle.clock import Clock
from hostler.lifecycle.events import Note, NoteKind

logger = logging.getLogger(__name__)

KEPT = 2000
"""Entries that are kept: days of a quiet server, minutes of a very busy one."""
MAX_BEHIND = 1000
"""Entries that a reader may be behind before it misses some."""

_LEVELS = {
    NoteKind.WAITING: logging.INFO,
    NoteKind.LOADING: logging.INFO,
    NoteKind.SHORT: logging.WARNING,
    NoteKind.LOAD_FAILED: logging.WARNING,
    NoteKind.LEAVING: logging.INFO,
    NoteKind.REFUSED: logging.INFO,
}
"""The others are logged where they happen, with the process they concern."""


@dataclass(frozen=True)
class JournalEntry:
    """One thing that happened."""

    number: int
    """Counts from 1; a gap says that entries were missed."""
    time: float
    """Unix seconds."""
    kind: NoteKind
    model_id: str
    text: str
    facts: Mapping[str, str | int | float | None]


class Journal:
    """Belongs to one event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: deque[JournalEntry] = deque(maxlen=KEPT)
        self._numbers = itertools.count(1)
        self._readers: set[asyncio.Queue[JournalEntry]] = set()
        self._listeners: list[Callable[[JournalEntry], None]] = []

    def subscribe(self, listener: Callable[[JournalEntry], None]) -> None:
        """Call it with each entry from now on, at once; it neither blocks nor raises."""
        self._listeners.append(listener)

    def add(self, note: Note) -> None:
        entry = JournalEntry(
            next(self._numbers), self._clock.unix_time(), note.kind, note.model_id, note.text, note.facts
        )
        self._entries.append(entry)
        logger.log(
            _LEVELS.get(note.kind, logging.DEBUG), "model_%s model=%s why=%r", note.kind, note.model_id, note.text
        )
        for listener in self._listeners:
            listener(entry)
        for reader in self._readers:
            if reader.full():
                reader.get_nowait()
            reader.put_nowait(entry)

    @property
    def num_readers(self) -> int:
        """Who follows at the moment."""
        return len(self._readers)

    def last(self, *, model_id: str | None = None, after: int = 0, limit: int = 100) -> list[JournalEntry]:
        """The newest entries with a higher number, oldest first; of one model, or of all."""
        found = [
            entry
            for entry in self._entries
            if entry.number > after and (model_id is None or entry.model_id == model_id)
        ]
        return found[-limit:]

    async def follow(self, *, model_id: str | None = None, after: int = 0) -> AsyncGenerator[JournalEntry]:
        """What is kept with a higher number, then everything as it happens; never ends by itself."""
        reader: asyncio.Queue[JournalEntry] = asyncio.Queue(MAX_BEHIND)
        self._readers.add(reader)
        try:
            for entry in self.last(model_id=model_id, after=after, limit=KEPT):
                yield entry
                after = entry.number
            while True:
                entry = await reader.get()
                if entry.number > after and (model_id is None or entry.model_id == model_id):
                    yield entry
        finally:
            self._readers.discard(reader)
