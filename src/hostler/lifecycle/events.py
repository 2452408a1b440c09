"""The controller's language: events go in, effects come out."""

from dataclasses import dataclass
from enum import StrEnum

from hostler.errors import HostlerError


class LeaveReason(StrEnum):
    """Why a model leaves memory."""

    EVICTED = "evicted"
    """To make room for another."""
    IDLE = "idle"
    """Nobody used it for `keep_alive_s`."""
    UNLOADED = "unloaded"
    """By command."""
    RELOADED = "reloaded"
    """By command, to be loaded again."""
    REGISTRY_CHANGED = "registry_changed"
    """Its entry was removed or is another now."""
    LOAD_FAILED = "load_failed"
    STALLED = "stalled"
    """Its load made no progress."""
    SHUTDOWN = "shutdown"


# --- events ---------------------------------------------------------------------------------------------------------
# A waiter is whoever gets an answer; its id is never used twice. A generation numbers a model's workers.


@dataclass(frozen=True)
class Acquire:
    """Wants a lease. Answered by `GrantLease` or `RefuseWaiter`."""

    waiter_id: int
    model_id: str


@dataclass(frozen=True)
class Load:
    """Wants the model in memory, without a lease. Answered by `ReportLoaded` or `RefuseWaiter`."""

    waiter_id: int
    model_id: str
    force_reload: bool = False
    """What is in memory already leaves first, drained. A load that is under way is joined all the same."""


@dataclass(frozen=True)
class Unload:
    """Wants the model out of memory. Answered by `ReportUnloaded`, or by `RefuseWaiter` when that takes too long."""

    waiter_id: int
    model_id: str


@dataclass(frozen=True)
class Withdraw:
    """A waiter is gone. If its answer was a lease and crossed this event, the lease is released."""

    waiter_id: int
    model_id: str


@dataclass(frozen=True)
class Release:
    """The lease that was granted to that waiter ends. Harmless when it has ended, or its worker has."""

    waiter_id: int
    model_id: str


@dataclass(frozen=True)
class LoadProgressed:
    model_id: str
    generation: int


@dataclass(frozen=True)
class LoadSucceeded:
    model_id: str
    generation: int


@dataclass(frozen=True)
class LoadFailed:
    """Followed by `WorkerExited`."""

    model_id: str
    generation: int
    error: HostlerError


@dataclass(frozen=True)
class WorkerExited:
    """The last event of a generation; each `StartLoad` is followed by exactly one, even if no process ever started."""

    model_id: str
    generation: int
    reason: str


@dataclass(frozen=True)
class RegistryChanged:
    """Other models are registered now; `changed` ones keep their id."""

    added: frozenset[str]
    removed: frozenset[str]
    changed: frozenset[str]


@dataclass(frozen=True)
class ShutDown:
    """Refuse everybody, now and later, and stop every worker."""


@dataclass(frozen=True)
class Tick:
    """Time has passed."""


Event = (
    Acquire
    | Load
    | Unload
    | Withdraw
    | Release
    | LoadProgressed
    | LoadSucceeded
    | LoadFailed
    | WorkerExited
    | RegistryChanged
    | ShutDown
    | Tick
)

# --- effects --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StartLoad:
    """Start a worker and load the model, as it is registered now."""

    model_id: str
    generation: int


@dataclass(frozen=True)
class StopWorker:
    """End the worker, loading or not."""

    model_id: str
    generation: int
    reason: LeaveReason
    for_model: str | None = None
    """Who needs the room, when evicted."""


@dataclass(frozen=True)
class GrantLease:
    waiter_id: int
    model_id: str
    generation: int


@dataclass(frozen=True)
class ReportLoaded:
    waiter_id: int


@dataclass(frozen=True)
class ReportUnloaded:
    waiter_id: int
    was_loaded: bool


@dataclass(frozen=True)
class RefuseWaiter:
    waiter_id: int
    error: HostlerError


Effect = StartLoad | StopWorker | GrantLease | ReportLoaded | ReportUnloaded | RefuseWaiter
