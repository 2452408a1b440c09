"""Who leaves, and who has to make way: pure choices, without clock, lock or log.

They are also asked speculatively, so a log line here would tell of things that did not happen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hostler.types import ModelState


@dataclass(frozen=True)
class Resident:
    """One model that takes a slot: loading, ready or unloading."""

    model_id: str
    state: ModelState
    num_leases: int
    last_used: float
    """Seconds on the controller's clock; a load counts as use."""
    ready_since: float | None = None
    """`None` while it loads."""
    is_leaving: bool = False
    """Told to leave once its leases end; that cannot be taken back."""
    is_yielding: bool = False
    """Grants nothing new, for the sake of a model that waits for room; ends when the need does."""


def victims_for(num_wanted: int, residents: Sequence[Resident], max_concurrent_models: int) -> tuple[str, ...] | None:
    """Models that have to leave so that `num_wanted` more fit, least recently used first.

    A model that is loading or leased is never among them. One that is unloading already counts as room: its process
    ends by itself, soon. `()`: nobody has to leave. `None`: impossible for now.
    """
    num_staying = sum(resident.state is not ModelState.UNLOADING for resident in residents)
    num_needed = num_staying + num_wanted - max_concurrent_models
    if num_needed <= 0:
        return ()
    idle = [resident for resident in residents if resident.state is ModelState.READY and resident.num_leases == 0]
    if len(idle) < num_needed:
        return None
    idle.sort(key=lambda resident: resident.last_used)
    return tuple(resident.model_id for resident in idle[:num_needed])


def threads_for(num_busy: int, total_threads: int) -> int:
    """Threads for each of the models that have requests.

    More threads than cores cost more than they give: every parallel piece of a step waits for its slowest thread, and
    that is one which another model's thread has pushed aside. Idle models keep theirs, since they do not run.
    """
    return max(1, total_threads // max(1, num_busy))


def yielding_for(
    waiting_since: Sequence[float], residents: Sequence[Resident], now: float, turn_s: float
) -> tuple[str, ...]:
    """Leased models that should grant nothing new, so that they end up idle and leave for models without room.

    `waiting_since` has, for each model that waits for room, when its oldest request came. Once such a request has
    waited `turn_s` and no room is coming, the least recently used of the models that have been ready for `turn_s`
    makes way: a busy model cannot starve another, and a model that came in keeps its slot for a turn at least, so
    that two busy models spend their time answering and not loading. Who yields already goes on yielding.
    """
    num_coming = sum(resident.is_leaving or resident.state is ModelState.UNLOADING for resident in residents)
    num_overdue = sum(since + turn_s <= now for since in waiting_since)
    candidates = [
        resident
        for resident in residents
        if resident.state is ModelState.READY and resident.num_leases > 0 and not resident.is_leaving
        if resident.ready_since is not None and resident.ready_since + turn_s <= now
    ]
    candidates.sort(key=lambda resident: (not resident.is_yielding, resident.last_used))
    return tuple(resident.model_id for resident in candidates[: max(0, num_overdue - num_coming)])
