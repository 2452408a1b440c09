"""What loads have taken, remembered from one run of the server to the next."""

import logging
import os
import statistics
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import msgspec

from hostler.memory import Footprint, FootprintBasis
from hostler.models.footprint import Measurement, loaded_bytes, measured_bytes
from hostler.struct import Struct
from hostler.types import ModelFacts

logger = logging.getLogger(__name__)

FILE_NAME = "footprints.json"
MAX_KEYS = 500
"""The ones that were measured longest ago go first."""
NUM_KEPT = 3
"""Records per key: enough for one odd load among them to be outvoted."""
_MAX_FILE_BYTES = 2**20


class LoadRecord(Struct, frozen=True):
    """One load: what had been expected of it, and what it took."""

    estimated_bytes: int
    """Of weights and process together, host and device."""
    basis: FootprintBasis
    """Of that estimate."""
    host_bytes: int
    """0: not measured."""
    device_bytes: int
    load_s: float

    @classmethod
    def of(cls, footprint: Footprint, facts: ModelFacts) -> "LoadRecord":
        return cls(
            estimated_bytes=loaded_bytes(footprint),
            basis=footprint.basis,
            host_bytes=facts.host_bytes,
            device_bytes=facts.device_bytes,
            load_s=facts.load_s,
        )

    def measured_bytes(self) -> int:
        """Host and device together."""
        return self.host_bytes + self.device_bytes

    @property
    def measurement(self) -> Measurement | None:
        """`None`: memory was not measured."""
        return Measurement(self.host_bytes, self.device_bytes) if self.host_bytes else None


def estimate_ratio(footprint: Footprint, facts: ModelFacts) -> float | None:
    """Estimated to measured memory, 1 being exact; keys, values and workspace, which come later, are left out.

    `None` where nothing was measured.
    """
    measured = measured_bytes(facts)
    return loaded_bytes(footprint) / measured if measured else None


class FootprintHistory:
    """Records by key, in one small JSON file. Reads and writes block; may be called from several threads.

    A file that is damaged counts as empty, one that cannot be written leaves the records in memory: to remember
    helps, and is never needed. Of two servers with the same file, one may lose a record of the other's.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._lock = threading.Lock()
        self._records: dict[str, list[LoadRecord]] | None = None
        """Of each key the last loads, the newest last. `None`: not read yet. The key that rested longest first."""
        self._has_warned = False

    def find(self, key: str) -> LoadRecord | None:
        """What a load usually takes: of the last ones that measured memory the middle one, of two the larger; with
        the seconds of the middle one of all, of two the quicker."""
        with self._lock:
            records = self._loaded().get(key, [])
        if not records:
            return None
        measured = sorted((record for record in records if record.host_bytes), key=LoadRecord.measured_bytes)
        usual = measured[len(measured) // 2] if measured else records[-1]
        return msgspec.structs.replace(usual, load_s=statistics.median_low(record.load_s for record in records))

    def add(self, key: str, record: LoadRecord) -> None:
        """Remember a load, and forget the oldest of its key."""
        with self._lock:
            records = {**self._loaded(), **self._read()}
            records[key] = [*records.pop(key, []), record][-NUM_KEPT:]
            for oldest in list(records)[:-MAX_KEYS]:
                del records[oldest]
            self._records = records
            self._write(records)

    def _loaded(self) -> dict[str, list[LoadRecord]]:
        if self._records is None:
            self._records = self._read()
        return self._records

    def _read(self) -> dict[str, list[LoadRecord]]:
        try:
            if self._path.stat().st_size > _MAX_FILE_BYTES:
                raise ValueError("the file is too large")
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, list[LoadRecord]])
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as exc:
            self._warn_once("unreadable", exc)
            return {}

    def _write(self, records: dict[str, list[LoadRecord]]) -> None:
        """Whole or not at all, whatever happens on the way."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(prefix=f".{FILE_NAME}-", dir=self._path.parent)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(msgspec.json.format(msgspec.json.encode(records)))
                Path(temporary).replace(self._path)
            except OSError:
                with suppress(OSError):
                    Path(temporary).unlink()
                raise
        except OSError as exc:
            self._warn_once("unwritable", exc)

    def _warn_once(self, problem: str, exc: Exception) -> None:
        if not self._has_warned:
            self._has_warned = True
            logger.info("footprint_history_%s file=%s reason=%s", problem, FILE_NAME, type(exc).__name__)
