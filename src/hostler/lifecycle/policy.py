"""Who leaves, and who has to make way: pure choices, without clock, lock or log.

They are also asked speculatively, so a log line here would tell of things that did not happen.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from hostler.lifecycle.ledger import Need, covers, minus, missing, plus
from hostler.types import ModelState


@dataclass(frozen=True)
class Resident:
    """One model that holds memory: loading, ready or unloading. Times are seconds on the controller's clock."""

    model_id: str
    state: ModelState
    num_leases: int
    last_used: float
    """A load counts as use."""
    holds: Need = field(default_factory=dict)
    load_s: float | None = None
    """How long its last load took; `None` while it is loading for the first time."""
    ready_since: float | None = None
    """`None` while it loads."""
    is_pinned: bool = False
    is_leaving: bool = False
    """Told to leave once its leases end; that cannot be taken back."""
    is_yielding: bool = False
    """Grants nothing new, for the sake of a model that waits for room; ends when the need does."""

    def dwells_until(self, longest_s: float) -> float:
        """Until when it may not be evicted: a model stays as long as its load took, so that no more than half of the
        time goes into loading however models take turns; `longest_s` at most."""
        if self.ready_since is None:
            return 0.0
        return self.ready_since + min(self.load_s or 0.0, longest_s)

    def is_going(self) -> bool:
        """Whether what it holds comes back without anybody's doing."""
        return self.is_leaving or self.state is ModelState.UNLOADING


@dataclass(frozen=True)
class Option:
    """One way to place a model."""

    device: str
    """As torch spells it."""
    need: Need


@dataclass(frozen=True)
class Room:
    """How a model can be placed: as soon as these have left."""

    option: Option
    victims: tuple[str, ...]
    """In the order in which they were chosen."""


def price(resident: Resident, wanted: Need, now: float) -> float:
    """What evicting costs for what it frees: seconds to bring it back, times how likely somebody soon wants it back,
    per share of what is missing.

    How likely is taken as one over the seconds since its last use. Models of equal size and load time therefore leave
    in the order of their last use; a small, slow one that was just used stays longest.
    """
    freed = sum(min(1.0, resident.holds.get(resource, 0) / amount) for resource, amount in wanted.items() if amount > 0)
    return (resident.load_s or 1.0) / (max(now - resident.last_used, 1e-3) * max(freed, 1e-9))


def room_for(
    options: Sequence[Option], free: Need, residents: Iterable[Resident], now: float, longest_dwell_s: float
) -> Room | None:
    """The emptiest of the options for which there is room, else the first for which idle models can make it.

    Never among the victims: who is loading, leased, pinned, on its way out, or has not yet stayed as long as its load
    took. `None`: impossible for now.
    """
    roomy = [option for option in options if covers(free, option.need)]
    if roomy:
        return Room(max(roomy, key=lambda option: free.get(option.device, 0)), ())
    idle = [
        resident
        for resident in residents
        if resident.state is ModelState.READY and resident.num_leases == 0
        if not resident.is_pinned and not resident.is_going()
        if resident.dwells_until(longest_dwell_s) <= now
    ]
    for option in options:
        victims = _victims(option.need, free, idle, now)
        if victims is not None:
            return Room(option, victims)
    return None


def _victims(need: Need, free: Need, idle: Sequence[Resident], now: float) -> tuple[str, ...] | None:
    """The cheapest of the idle ones that free enough together, without any whose leaving would not be needed."""
    lacking = missing(free, need)
    chosen: list[Resident] = []
    for resident in sorted(idle, key=lambda candidate: (price(candidate, lacking, now), candidate.last_used)):
        if not missing(plus(free, *(victim.holds for victim in chosen)), need):
            break
        if any(resident.holds.get(resource, 0) for resource in lacking):
            chosen.append(resident)
    if missing(plus(free, *(victim.holds for victim in chosen)), need):
        return None
    for resident in reversed(chosen):
        others = [victim for victim in chosen if victim is not resident]
        if not missing(plus(free, *(victim.holds for victim in others)), need):
            chosen = others
    return tuple(resident.model_id for resident in chosen)


def could_ever_fit(options: Iterable[Option], budget: Need, residents: Iterable[Resident]) -> bool:
    """Whether an option fits beside the pinned models when everybody else has left."""
    pinned = [resident.holds for resident in residents if resident.is_pinned and not resident.is_going()]
    return any(covers(minus(budget, *pinned), option.need) for option in options)


def yielding_for(
    needs: Sequence[Need], free: Need, residents: Sequence[Resident], now: float, turn_s: float
) -> tuple[str, ...]:
    """Leased models that should grant nothing new, so that they end up idle and leave for models without room.

    `needs` has what each model lacks room for whose oldest request has waited `turn_s`. The least recently used of
    the models that have been ready for `turn_s` make way: a busy model cannot starve another, and a model that came
    in keeps its place for a turn at least, so that two busy models spend their time answering and not loading. Who
    yields already goes on yielding.
    """
    lacking = missing(plus(free, *(resident.holds for resident in residents if resident.is_going())), plus(*needs))
    candidates = [
        resident
        for resident in residents
        if resident.state is ModelState.READY and resident.num_leases > 0 and not resident.is_leaving
        if resident.ready_since is not None and resident.ready_since + turn_s <= now and not resident.is_pinned
    ]
    candidates.sort(key=lambda resident: (not resident.is_yielding, resident.last_used))
    chosen: list[str] = []
    for resident in candidates:
        if not lacking:
            break
        if any(resident.holds.get(resource, 0) for resource in lacking):
            chosen.append(resident.model_id)
            lacking = missing(resident.holds, lacking)
    return tuple(chosen)


def threads_for(num_busy: int, total_threads: int) -> int:
    """Threads for each of the models that have requests.

    More threads than cores cost more than they give: every parallel piece of a step waits for its slowest thread, and
    that is one which another model's thread has pushed aside. Idle models keep theirs, since they do not run.
    """
    return max(1, total_threads // max(1, num_busy))
