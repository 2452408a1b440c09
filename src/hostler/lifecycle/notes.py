"""What is told of each transition, with its reason: the sentences of the events pages and of the log."""

from collections.abc import Mapping, Sequence

from hostler.errors import HostlerError
from hostler.lifecycle.entry import ModelEntry
from hostler.lifecycle.events import LeaveReason, Note, NoteKind
from hostler.lifecycle.ledger import PLACES, Need, missing
from hostler.lifecycle.limits import Limits
from hostler.lifecycle.policy import Option, Resident, price
from hostler.quantities import format_bytes

_WHY = {
    LeaveReason.EVICTED: "to make room for {for_model}",
    LeaveReason.IDLE: "since nobody has used it for {idle_s:.0f} s",
    LeaveReason.UNLOADED: "by command",
    LeaveReason.RELOADED: "by command, to be loaded again",
    LeaveReason.REGISTRY_CHANGED: "since its entry in the registry was changed or removed",
    LeaveReason.LOAD_FAILED: "since its load failed",
    LeaveReason.STALLED: "since its load made no progress",
    LeaveReason.HUNG: "since it had requests and made no step",
    LeaveReason.SHUTDOWN: "since the server shuts down",
}


def amounts(need: Need) -> str:
    """`1.2 GiB of host memory and a place among max_concurrent_models`."""
    words = [_amount(resource, amount) for resource, amount in need.items() if amount > 0]
    return " and ".join(words) or "nothing"


def _amount(resource: str, amount: int) -> str:
    if resource != PLACES:
        return f"{format_bytes(amount)} of {resource} memory"
    return f"{'a place' if amount == 1 else f'{amount} places'} among max_concurrent_models"


def queued(entry: ModelEntry, num_before: int) -> Note:
    what = "is being loaded" if entry.is_resident else "is not in memory"
    text = f"a request waits for {entry.model_id}, behind {num_before} others; it {what}"
    return Note(NoteKind.QUEUED, entry.model_id, text, {"num_before": num_before, "state": entry.reported_state})


def waiting(entry: ModelEntry, lacking: Need, holders: Sequence[ModelEntry], now: float) -> Note:
    if any(lacking.values()):
        held = ", ".join(occupation(holder, now) for holder in holders)
        text = f"{entry.model_id} waits for {amounts(lacking)}, held by {held}"
    else:
        leavers = ", ".join(holder.model_id for holder in holders if holder.leaving is not None)
        text = f"{entry.model_id} waits for {leavers} to leave memory"
    return Note(NoteKind.WAITING, entry.model_id, text, {f"lacking_{name}": amount for name, amount in lacking.items()})


def loading(entry: ModelEntry, option: Option) -> Note:
    text = f"{entry.model_id} is being loaded to {option.device}; {amounts(option.need)} are reserved"
    facts: Mapping[str, str | int | float | None] = {"device": option.device, "generation": entry.generation}
    return Note(NoteKind.LOADING, entry.model_id, text, {**facts, **_reserved(option.need)})


def short(model_id: str, need: Need, available: Need) -> Note | None:
    """`None`: what is available is enough for what is needed."""
    if (obstacle := shortage(need, available)) is None:
        return None
    facts = {f"available_{resource}": amount for resource, amount in available.items()}
    return Note(
        NoteKind.SHORT, model_id, f"{model_id} is being loaded and needs {amounts(need)}, but {obstacle}", facts
    )


def shortage(need: Need, available: Need) -> str | None:
    """What is missing where other programs have taken more than the budget leaves them."""
    short = missing(available, {resource: amount for resource, amount in need.items() if resource != PLACES})
    if not short:
        return None
    left = " and ".join(_amount(resource, available.get(resource, 0)) for resource in short)
    return f"only {left} are left on this machine: unless other programs end, the load may be slow or fail"


def loaded(entry: ModelEntry, took_s: float, reserved: Need, measured: Need | None) -> Note:
    text = f"{entry.model_id} was loaded in {took_s:.1f} s"
    facts: dict[str, str | int | float | None] = {"seconds": took_s, **_reserved(reserved)}
    if measured is not None:
        text += f"; {amounts(reserved)} were reserved, it needs {amounts(measured)}"
        facts |= {f"measured_{name}": amount for name, amount in measured.items()}
    return Note(NoteKind.LOADED, entry.model_id, text, facts)


def load_failed(entry: ModelEntry, error: HostlerError, cooldown_s: float) -> Note:
    text = f"loading {entry.model_id} failed: {error.message}"
    if cooldown_s > 0:
        text += f"; requests are refused for the next {cooldown_s:.0f} s, POST /models/{entry.model_id}/load is not"
    return Note(NoteKind.LOAD_FAILED, entry.model_id, text, {"code": error.code, "cooldown_s": cooldown_s})


def leaving(
    resident: Resident, reason: LeaveReason, now: float, for_model: str | None = None, *, drains: bool = False
) -> Note:
    """`drains`: its requests are waited for."""
    model_id, idle_s = resident.model_id, now - resident.last_used
    text = f"{model_id} leaves {_WHY[reason].format(for_model=for_model, idle_s=idle_s)}"
    facts: dict[str, str | int | float | None] = {"reason": reason, "num_leases": resident.num_leases}
    if reason is LeaveReason.EVICTED:
        text += f": it has been idle for {idle_s:.1f} s and took {resident.load_s or 0:.1f} s to load"
        facts |= {"for": for_model, "idle_s": idle_s, "price": price(resident, resident.holds, now)}
    elif resident.num_leases:
        how = "when its {} requests have ended" if drains else "and its {} requests end with it"
        text += ", " + how.format(resident.num_leases)
    return Note(NoteKind.LEAVING, model_id, text, facts)


def yielding(entry: ModelEntry, for_model: str) -> Note:
    text = (
        f"{entry.model_id} grants nothing new, so that {for_model}, which has waited for a turn, gets room when its"
        f" {len(entry.leases)} requests have ended"
    )
    return Note(NoteKind.LEAVING, entry.model_id, text, {"reason": "yields", "for": for_model})


def unloaded(entry: ModelEntry, exit_reason: str) -> Note:
    return Note(NoteKind.UNLOADED, entry.model_id, f"{entry.model_id} has left memory", {"exit": exit_reason})


def died(entry: ModelEntry, exit_reason: str, num_lost: int, cooldown_s: float) -> Note:
    text = (
        f"the process of {entry.model_id} ended: {exit_reason}; {num_lost} requests that it had are lost, the next one"
        " starts it again"
    )
    if cooldown_s > 0:
        text += f" after {cooldown_s:.0f} s"
    return Note(
        NoteKind.DIED, entry.model_id, text, {"exit": exit_reason, "num_lost": num_lost, "cooldown_s": cooldown_s}
    )


def refused(entry: ModelEntry, error: HostlerError, num_refused: int) -> Note:
    text = f"{num_refused} requests for {entry.model_id} were refused: {error.message}"
    return Note(NoteKind.REFUSED, entry.model_id, text, {"code": error.code, "num": num_refused})


def occupation(entry: ModelEntry, now: float) -> str:
    """`gpt2 (2 in flight)`: why a model holds what it holds."""
    if entry.reported_state != "ready":
        return f"{entry.model_id} ({entry.reported_state.value})"
    words = [f"{len(entry.leases)} in flight"] if entry.leases else ["idle"]
    words += ["pinned"] if entry.is_pinned else []
    if entry.ready_since is not None and entry.ready_since + min(entry.load_s or 0.0, Limits.turn_s) > now:
        words.append("just loaded")
    return f"{entry.model_id} ({', '.join(words)})"


def _reserved(need: Need) -> dict[str, str | int | float | None]:
    return {f"reserved_{resource}": amount for resource, amount in need.items()}
