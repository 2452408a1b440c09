"""What the controller knows of one model."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from hostler.errors import HostlerError
from hostler.lifecycle.events import LeaveReason, Profile
from hostler.lifecycle.ledger import Need
from hostler.lifecycle.limits import Limits
from hostler.lifecycle.policy import Option, Resident
from hostler.lifecycle.rooms import Claimant
from hostler.queue_places import has_place
from hostler.types import ANYBODY, Caller, ModelState


@dataclass(frozen=True)
class Waiter:
    """Somebody who gets an answer."""

    waiter_id: int
    since: float
    deadline: float
    order: int
    """Of arrival, over all models."""
    wants_lease: bool = True
    """`False`: only to know that the model is loaded, or unloaded."""
    keep_alive_s: float | None = None
    """Asked for by it; `None`: it did not say."""
    is_pinned: bool | None = None
    """Likewise."""
    caller: Caller = ANYBODY


@dataclass
class ModelEntry:
    """One model's state. Changed by the controller alone; times are seconds on its clock."""

    model_id: str
    state: ModelState = ModelState.UNLOADED
    profile: Profile = field(default_factory=Profile)
    is_registered: bool = True
    """`False`: removed from the registry, and forgotten as soon as its worker has exited."""
    generation: int = 0
    """Number of its latest worker."""
    leases: set[int] = field(default_factory=set)
    """Waiters whose lease has not ended."""
    waiters: dict[int, Waiter] = field(default_factory=dict)
    """Who wants it in memory, by id, in order of arrival."""
    unload_waiters: dict[int, Waiter] = field(default_factory=dict)
    """Who wants to know when it has left."""
    options: Sequence[Option] | None = None
    """Ways to place it; `None`: not estimated since it was last in memory."""
    is_estimating: bool = False
    num_estimates: int = 0
    """Number of the latest that was asked for."""
    lacking: Need | None = None
    """While it waits for room: what it lacked when that was last noted."""
    device: str | None = None
    """Where it is, or was last."""
    keep_alive_s: float | None = None
    """Asked for by the last request that said; `None`: the profile's."""
    asked_is_pinned: bool | None = None
    """Likewise."""
    leaving: LeaveReason | None = None
    """While ready: it grants nothing new and leaves when its leases have ended. While unloading: why."""
    yields_to: str | None = None
    """While ready: the model for whose sake it grants nothing new."""
    load_started: float = 0.0
    progressed: float = 0.0
    """When its load last made progress."""
    ready_since: float | None = None
    idle_since: float | None = None
    """While ready: since when it has had no lease; `None` while it has one."""
    last_used: float | None = None
    """When a lease last began or ended, or it was loaded. Kept when it leaves."""
    load_s: float | None = None
    """How long its last load took, without what only a first one has to do."""
    last_error: str | None = None
    """Why the last load failed or the last worker died; `None` once it is ready again."""
    has_failed: bool = False
    """Its load failed; the worker may not have exited yet."""
    last_failure: HostlerError | None = None
    """What the last load failed with."""
    num_failures: int = 0
    """Failed loads and early deaths in a row."""
    retry_at: float = -math.inf
    """Requests are refused until then, after a failure."""

    @property
    def is_resident(self) -> bool:
        """Whether it takes a slot: until its worker has exited."""
        return self.state in (ModelState.LOADING, ModelState.READY, ModelState.UNLOADING)

    @property
    def is_active(self) -> bool:
        """Whether anything can happen to it without an event that names it."""
        return self.is_resident or self.is_estimating or bool(self.waiters or self.unload_waiters)

    @property
    def is_granting(self) -> bool:
        """Whether a request gets its lease at once."""
        return self.state is ModelState.READY and self.leaving is None and self.yields_to is None

    @property
    def wants_room(self) -> bool:
        """Whether somebody waits for it, what it needs is known, and no load is under way."""
        return not self.is_resident and bool(self.waiters) and self.options is not None

    @property
    def wants_estimate(self) -> bool:
        return not self.is_resident and bool(self.waiters) and self.options is None and not self.is_estimating

    @property
    def is_pinned(self) -> bool:
        """Whether it stays until it is told to leave."""
        return self.profile.is_pinned if self.asked_is_pinned is None else self.asked_is_pinned

    @property
    def oldest_waiter(self) -> Waiter:
        """Only while there is one."""
        return next(iter(self.waiters.values()))

    @property
    def reported_state(self) -> ModelState:
        """Its state as people see it: a model that drains is on its way out, and a load that failed has failed."""
        if self.has_failed:
            return ModelState.FAILED
        return ModelState.UNLOADING if self.is_resident and self.leaving is not None else self.state

    def is_cooling_down(self, now: float) -> bool:
        """Whether requests are refused since it has just failed; its last worker may still be on its way out."""
        return now < self.retry_at and self.state not in (ModelState.LOADING, ModelState.READY)

    def has_place_for(self, caller: Caller, num_places: int) -> bool:
        """Whether one more may wait for it, of so many in all."""
        return has_place(caller, [waiter.caller for waiter in self.waiters.values()], num_places)

    def idle_deadline(self, limits: Limits) -> float:
        """When it leaves for want of use; infinity: never."""
        if self.idle_since is None or self.is_pinned:
            return math.inf
        wishes = (self.keep_alive_s, self.profile.keep_alive_s, limits.keep_alive_s)
        return self.idle_since + next((wish for wish in wishes if wish is not None), math.inf)

    def count_failure(self, now: float, limits: Limits) -> float:
        """Its load failed or its worker died: for how many seconds requests are refused now."""
        if self.ready_since is not None and self.ready_since + limits.sound_after_s <= now:
            self.num_failures = 0
        self.num_failures += 1
        cooldown_s = limits.cooldown_s(self.num_failures, was_ready=self.ready_since is not None)
        self.retry_at = now + cooldown_s
        return cooldown_s

    def as_claimant(self) -> Claimant:
        """Only while it `wants_room`."""
        return Claimant(self.model_id, self.options or (), self.oldest_waiter.since)

    def as_resident(self, holds: Need) -> Resident:
        """`holds`: what is reserved for it."""
        return Resident(
            model_id=self.model_id,
            state=self.state,
            num_leases=len(self.leases),
            last_used=self.last_used if self.last_used is not None else self.load_started,
            holds=holds,
            load_s=self.load_s,
            ready_since=self.ready_since,
            is_pinned=self.is_pinned,
            is_leaving=self.state is ModelState.READY and self.leaving is not None,
            is_yielding=self.yields_to is not None,
        )
