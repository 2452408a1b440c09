"""The controller's language: events go in, effects come out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from hostler.errors import HostlerError
from hostler.lifecycle.ledger import Need
from hostler.lifecycle.policy import Option
from hostler.types import ANYBODY, Caller


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
    HUNG = "hung"
    """It had requests and made no step."""
    SHUTDOWN = "shutdown"


FAILURES = frozenset({LeaveReason.LOAD_FAILED, LeaveReason.STALLED, LeaveReason.HUNG})
"""Reasons that the next try may fail for as well."""


class NoteKind(StrEnum):
    """What a `Note` tells of."""

    QUEUED = "queued"
    """A request waits."""
    WAITING = "waiting"
    """The model waits for room."""
    LOADING = "loading"
    SHORT = "short"
    """It is being loaded, and there is less memory left than it needs."""
    LOADED = "loaded"
    LOAD_FAILED = "load_failed"
    LEAVING = "leaving"
    """It grants nothing new and leaves, at once or when its requests have ended."""
    UNLOADED = "unloaded"
    DIED = "died"
    """Its process ended by itself."""
    REFUSED = "refused"
    """Requests were turned away."""


@dataclass(frozen=True)
class Profile:
    """What the registry says about keeping a model."""

    is_pinned: bool = False
    keep_alive_s: float | None = None
    """`None`: the limits' own; infinity: for ever."""


# --- events ---------------------------------------------------------------------------------------------------------
# A waiter is whoever gets an answer; its id is never used twice. A generation numbers a model's workers.


@dataclass(frozen=True)
class Acquire:
    """Wants a lease. Answered by `GrantLease` or `RefuseWaiter`."""

    waiter_id: int
    model_id: str
    keep_alive_s: float | None = None
    """From now on, how long the model stays without a lease; `None`: leaves that as it is."""
    caller: Caller = ANYBODY
    """Whose place it takes among those who wait."""


@dataclass(frozen=True)
class Load:
    """Wants the model in memory, without a lease. Answered by `ReportLoaded` or `RefuseWaiter`."""

    waiter_id: int
    model_id: str
    force_reload: bool = False
    """What is in memory already leaves first, drained. A load that is under way is joined all the same."""
    keep_alive_s: float | None = None
    """As in `Acquire`."""
    is_pinned: bool | None = None
    """From now on, whether the model stays until it is told to leave; `None`: leaves that as it is."""


@dataclass(frozen=True)
class Unload:
    """Wants the model out of memory. Answered by `ReportUnloaded`, or by `RefuseWaiter` when that takes too long."""

    waiter_id: int
    model_id: str
    is_forced: bool = False
    """Its requests are not waited for."""


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
class NeedEstimated:
    """Answers `EstimateNeed`."""

    model_id: str
    number: int
    options: Sequence[Option]
    """Ways to place it, each on another device; at least one."""
    load_s: float | None = None
    """How long an earlier load took, where one is remembered."""


@dataclass(frozen=True)
class LoadProgressed:
    model_id: str
    generation: int


@dataclass(frozen=True)
class LoadSucceeded:
    model_id: str
    generation: int
    need: Need | None = None
    """What it takes, as measured, with what it may still grow by; `None`: nobody could tell."""
    once_s: float = 0.0
    """How long what no later load has to do again took: a download, a conversion."""


@dataclass(frozen=True)
class LoadFailed:
    """Followed by `WorkerExited`."""

    model_id: str
    generation: int
    error: HostlerError


@dataclass(frozen=True)
class WorkerHung:
    """It has made no step for so long that it is given up."""

    model_id: str
    generation: int


@dataclass(frozen=True)
class WorkerExited:
    """The last event of a generation; each `StartLoad` is followed by exactly one, even if no process ever started."""

    model_id: str
    generation: int
    reason: str
    num_lost: int = 0
    """Requests that ended with it."""


@dataclass(frozen=True)
class RegistryChanged:
    """Other models are registered now."""

    profiles: Mapping[str, Profile]
    """Of all that are registered now, by id."""
    changed: frozenset[str] = frozenset()
    """Those that were registered before and have to be loaded anew."""


@dataclass(frozen=True)
class BudgetChanged:
    """There is so much for models from now on; never less than before."""

    budget: Need


@dataclass(frozen=True)
class Drain:
    """Refuse everybody, now and later; who has a lease keeps it. Loads under way are stopped."""


@dataclass(frozen=True)
class ShutDown:
    """Refuse everybody, now and later, and stop every worker."""


@dataclass(frozen=True)
class Tick:
    """Time has passed."""


ForOneModel = (
    Acquire
    | Load
    | Unload
    | Withdraw
    | Release
    | NeedEstimated
    | LoadProgressed
    | LoadSucceeded
    | LoadFailed
    | WorkerHung
    | WorkerExited
)
Event = ForOneModel | RegistryChanged | BudgetChanged | Drain | ShutDown | Tick

# --- effects --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class EstimateNeed:
    """Find out what the model, as it is registered now, will take. Answered by `NeedEstimated`, unless
    it is asked again before."""

    model_id: str
    number: int
    """To be sent back: an answer that comes after the registry has changed is of another model."""


@dataclass(frozen=True)
class StartLoad:
    """Start a worker and load the model, as it is registered now."""

    model_id: str
    generation: int
    option: Option
    """Where to; what it needs is reserved."""


@dataclass(frozen=True)
class StopWorker:
    """End the worker, loading or not."""

    model_id: str
    generation: int
    reason: LeaveReason


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


@dataclass(frozen=True)
class Note:
    """Something happened that a person may want to know; to be logged and told."""

    kind: NoteKind
    model_id: str
    text: str
    """One sentence, why included."""
    facts: Mapping[str, str | int | float | None] = field(default_factory=dict)
    """The same for programs."""


Effect = EstimateNeed | StartLoad | Note | StopWorker | GrantLease | ReportLoaded | ReportUnloaded | RefuseWaiter
