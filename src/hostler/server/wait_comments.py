"""What a client that waits for a model is told: how far its load has come, or what it waits for."""

from collections.abc import Sequence
from dataclasses import dataclass

from hostler.lifecycle.events import NoteKind
from hostler.lifecycle.journal import JournalEntry
from hostler.lifecycle.status import ModelStatus
from hostler.types import ModelState

MAX_PERCENT = 99
"""What has taken its usual time is not done before it is done."""

_ASIDE = (NoteKind.QUEUED, NoteKind.REFUSED)
"""These tell of requests and not of what the model waits for."""


@dataclass(frozen=True)
class LoadView:
    """How far a load has come; `None` is what cannot be told."""

    stage: str
    done_bytes: int
    total_bytes: int
    """0 where it is not known."""
    percent: int | None
    """Of the bytes of the stage where they are known, else of the time that the last load took."""
    eta_s: float | None

    def __str__(self) -> str:
        """`loading 43% eta=6s`."""
        words = [self.stage]
        if self.percent is not None:
            words.append(f"{self.percent}%")
        if self.eta_s is not None:
            words.append(f"eta={self.eta_s:.0f}s")
        return " ".join(words)


def load_view(status: ModelStatus, now: float) -> LoadView | None:
    """`now`: Unix seconds. `None`: it is not loading."""
    if status.state is not ModelState.LOADING or status.load_started_at is None:
        return None
    elapsed_s = max(0.0, now - status.load_started_at)
    stage = status.progress.stage if status.progress else "loading"
    done_bytes = status.progress.done_bytes if status.progress else 0
    total_bytes = status.progress.total_bytes if status.progress else 0
    if total_bytes > 0:
        percent: int | None = min(100, 100 * done_bytes // total_bytes)
    elif status.load_s:
        percent = min(MAX_PERCENT, int(100 * elapsed_s / status.load_s))
    else:
        percent = None
    return LoadView(stage, done_bytes, total_bytes, percent, _eta_s(status, elapsed_s))


def _eta_s(status: ModelStatus, elapsed_s: float) -> float | None:
    """From the pace of a download, which comes first and takes longest; of anything else, from the last load, unless
    this one has already taken longer."""
    progress = status.progress
    if progress is not None and progress.stage == "downloading":
        if progress.done_bytes <= 0 or progress.total_bytes <= 0:
            return None
        return round(elapsed_s * max(0, progress.total_bytes - progress.done_bytes) / progress.done_bytes, 1)
    if status.load_s is None or elapsed_s >= status.load_s:
        return None
    return round(status.load_s - elapsed_s, 1)


def wait_comment(status: ModelStatus, entries: Sequence[JournalEntry], now: float) -> str:
    """One line for a request that waits; `entries`: of its model, the oldest first."""
    if (view := load_view(status, now)) is not None:
        return str(view)
    told = next((entry for entry in reversed(entries) if entry.kind not in _ASIDE), None)
    if status.state is not ModelState.READY and told is not None and told.kind is NoteKind.WAITING:
        return " ".join(told.text.split())
    if status.state is ModelState.UNLOADING:
        return f"queued until the model, with {status.num_leases} requests in flight, has left and is loaded again"
    return "queued"
