"""Who gets room now, who has to leave for whom, and who goes on waiting: one pure decision over all that wait.

Models are served in the order of their oldest request. One that finds no room lets others pass as long as there is
some for them, until its request has waited for `turn_s`; from then on it holds what there is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from hostler.lifecycle.ledger import Need, minus, missing, plus
from hostler.lifecycle.policy import Option, Resident, could_ever_fit, room_for, yielding_for
from hostler.types import ModelState


@dataclass(frozen=True)
class Claimant:
    """A model that somebody waits for and that has no worker."""

    model_id: str
    options: Sequence[Option]
    """At least one."""
    since: float
    """When its oldest request came."""


@dataclass
class Settlement:
    """What to do."""

    starts: list[tuple[str, Option]] = field(default_factory=list)
    """Models to load now, and where: what they need is free."""
    evictions: list[tuple[str, str]] = field(default_factory=list)
    """Idle models that leave now, and the model that each makes room for."""
    yields: dict[str, str] = field(default_factory=dict)
    """Leased models that grant nothing new, and for whose sake."""
    lacking: dict[str, Need] = field(default_factory=dict)
    """What models that go on waiting lack; nothing where it is on its way."""
    impossible: list[str] = field(default_factory=list)
    """Models that would not fit if everybody else had left, but the pinned."""


def settle(
    claimants: Sequence[Claimant],
    budget: Need,
    residents: Sequence[Resident],
    now: float,
    turn_s: float,
) -> Settlement:
    """`claimants`: the longest waiting first. `turn_s`: see `policy.yielding_for`."""
    settlement = Settlement()
    by_id = {resident.model_id: resident for resident in residents}
    free: Mapping[str, int] = minus(budget, *(resident.holds for resident in residents))
    claimed: Mapping[str, int] = {}
    overdue: list[tuple[str, Need]] = []
    waiting: list[tuple[str, Need, Need]] = []
    """Model, what it needs, and what those before it claim."""
    for claimant in claimants:
        if not could_ever_fit(claimant.options, budget, by_id.values()):
            settlement.impossible.append(claimant.model_id)
            continue
        left = minus(free, claimed)
        room = room_for(claimant.options, left, (), now, turn_s)
        if room is not None:
            settlement.starts.append((claimant.model_id, room.option))
            free = minus(free, room.option.need)
            continue
        coming = plus(left, *(resident.holds for resident in by_id.values() if resident.is_going()))
        room = room_for(claimant.options, coming, tuple(by_id.values()), now, turn_s)
        option = room.option if room is not None else claimant.options[0]
        is_overdue = claimant.since + turn_s <= now
        if room is not None:
            for victim in room.victims:
                settlement.evictions.append((victim, claimant.model_id))
                by_id[victim] = replace(by_id[victim], state=ModelState.UNLOADING)
            settlement.lacking[claimant.model_id] = {}
        else:
            waiting.append((claimant.model_id, option.need, claimed))
            if is_overdue:
                overdue.append((claimant.model_id, option.need))
        if room is not None or is_overdue:
            claimed = plus(claimed, option.need)
    # Only now, since those that pass them take from what there is.
    going = [resident.holds for resident in by_id.values() if resident.is_going()]
    for model_id, need, claimed_before in waiting:
        settlement.lacking[model_id] = missing(plus(minus(free, claimed_before), *going), need)
    if overdue:
        promised = minus(claimed, *(need for _, need in overdue))
        needs = [need for _, need in overdue]
        for model_id in yielding_for(needs, minus(free, promised), tuple(by_id.values()), now, turn_s):
            settlement.yields[model_id] = overdue[0][0]
    return settlement


def next_change(claimants: Sequence[Claimant], residents: Sequence[Resident], now: float, turn_s: float) -> list[float]:
    """When time alone may change the settlement of at least one claimant: the ends of turns and of dwelling that lie
    ahead."""
    times = [claimant.since + turn_s for claimant in claimants]
    for resident in residents:
        if resident.ready_since is not None:
            times += [resident.ready_since + turn_s, resident.dwells_until(turn_s)]
    return [time for time in times if time > now]
