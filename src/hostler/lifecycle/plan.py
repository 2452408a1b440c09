"""What would happen if a model were asked for now, and why."""

from collections.abc import Sequence
from dataclasses import dataclass

from hostler.lifecycle import notes, refusals
from hostler.lifecycle.entry import ModelEntry
from hostler.lifecycle.ledger import Need, plus
from hostler.lifecycle.limits import Limits
from hostler.lifecycle.placement import Placing
from hostler.lifecycle.policy import Option
from hostler.lifecycle.stable import Stable
from hostler.memory import Footprint
from hostler.types import ModelState


@dataclass(frozen=True)
class PlannedVictim:
    """A model that would leave."""

    model_id: str
    reason: str
    """Why this one."""
    holds: Need
    idle_s: float
    load_s: float | None
    """What bringing it back would take."""


@dataclass(frozen=True)
class Plan:
    """The answer to "what if". Amounts by resource: `host`, `cuda:0`, …, and `places`."""

    verdict: str
    """`loaded`, `loading`, `fits`, `fits_after_eviction`, `waits` or `never_fits`."""
    text: str
    """The same in a sentence, why included."""
    option: Option
    """Where it is or would go, and what it takes or would take there."""
    footprint: Footprint
    budget: Need
    free: Need
    available: Need
    """What can be had of each memory, whoever has the rest."""
    lacking: Need
    """What is missing and cannot be had by evictions now."""
    victims: Sequence[PlannedVictim]
    in_flight: dict[str, int]
    """Requests that the models in memory work on, by model id."""
    expected_s: float | None
    """Seconds until it answers, from how long it took before; `None` where nothing is known or others must end
    first."""


def make_plan(stable: Stable, model_id: str, placing: Placing, available: Need, now: float) -> Plan:
    entry = stable.get(model_id)
    residents = stable.in_memory
    load_s = entry.load_s if entry is not None and entry.load_s is not None else placing.load_s
    option = placing.options[0]
    lacking: Need = {}
    victims: list[PlannedVictim] = []
    expected_s: float | None = load_s
    if entry is not None and entry.state in (ModelState.READY, ModelState.LOADING):
        option = Option(entry.device or option.device, stable.ledger.held_by(model_id))
        is_ready = entry.state is ModelState.READY
        verdict = "loaded" if is_ready else "loading"
        text = f"{model_id} is {'in memory' if is_ready else 'being loaded'}"
        expected_s = 0.0 if is_ready else load_s and max(0.0, load_s - (now - entry.load_started))
    else:
        settlement = stable.foresee(model_id, placing.options, now, Limits.turn_s)
        started = dict(settlement.starts)
        lacking = settlement.lacking.get(model_id, {})
        victims = [
            _victim(other, stable, now) for other in residents if (other.model_id, model_id) in settlement.evictions
        ]
        if model_id in settlement.impossible:
            verdict, expected_s = "never_fits", None
            text = refusals.cannot_fit(model_id, placing.options, stable.ledger.budget, residents)
        elif model_id in started:
            option, verdict = started[model_id], "fits"
            text = f"{model_id} needs {notes.amounts(option.need)}, which no model holds"
        elif victims:
            verdict = "fits_after_eviction"
            text = (
                f"{model_id} needs {notes.amounts(option.need)}; {', '.join(v.model_id for v in victims)} would leave"
            )
        else:
            verdict, expected_s = "waits", None
            held = ", ".join(notes.occupation(resident, now) for resident in residents)
            text = f"{model_id} would wait for {notes.amounts(lacking)}, held by {held}"
    if verdict in ("fits", "fits_after_eviction"):
        shortage = notes.shortage(option.need, plus(available, *(victim.holds for victim in victims)))
        text += "" if shortage is None else f", but {shortage}"
    return Plan(
        verdict=verdict,
        text=text,
        option=option,
        footprint=placing.footprint,
        budget=stable.ledger.budget,
        free=stable.ledger.free,
        available=available,
        lacking=lacking,
        victims=victims,
        in_flight={other.model_id: len(other.leases) for other in residents},
        expected_s=expected_s,
    )


def _victim(entry: ModelEntry, stable: Stable, now: float) -> PlannedVictim:
    idle_s = now - (entry.last_used if entry.last_used is not None else entry.load_started)
    took = f", and it took {entry.load_s:.1f} s to load" if entry.load_s is not None else ""
    return PlannedVictim(
        model_id=entry.model_id,
        reason=f"idle for {idle_s:.0f} s{took}: the least to lose for the room it gives",
        holds=stable.ledger.held_by(entry.model_id),
        idle_s=idle_s,
        load_s=entry.load_s,
    )
