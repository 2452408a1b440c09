"""What a waiter is told when it gets nothing."""

from collections.abc import Iterable, Sequence

from hostler.errors import (
    HostlerError,
    ModelLoadError,
    ModelNotFoundError,
    ModelTooLargeError,
    ModelUnloadedError,
    QueueFullError,
    ShuttingDownError,
    WaitTimeoutError,
)
from hostler.lifecycle import notes
from hostler.lifecycle.entry import ModelEntry
from hostler.lifecycle.ledger import Need
from hostler.lifecycle.policy import Option
from hostler.types import ModelState

RETRY_AFTER_S = 10.0
"""When nothing is known about how long a model takes to load: about what a small one takes from a cold disk."""
MIN_RETRY_AFTER_S = 1.0
RESTART_S = 5.0
"""About what it takes until another server is there in this one's place."""


def shutting_down() -> HostlerError:
    return ShuttingDownError(
        "the server is shutting down and takes nothing new; ask another, or later", retry_after_s=RESTART_S
    )


def not_registered(model_id: str) -> HostlerError:
    return ModelNotFoundError(f"model {model_id!r} is not registered any more", param="model")


def unloaded(model_id: str) -> HostlerError:
    return ModelUnloadedError(f"model {model_id!r} was told to unload while it was being loaded; ask again to load it")


def worker_ended(model_id: str, reason: str) -> HostlerError:
    hint = " (as when the system is out of memory)" if reason.endswith("SIGKILL") else "; the server's log may say why"
    return ModelLoadError(f"the process that was loading model {model_id!r} ended: {reason}{hint}")


def stalled(model_id: str, stall_timeout_s: float) -> HostlerError:
    return ModelLoadError(
        f"loading model {model_id!r} made no progress for {stall_timeout_s:g} s and was stopped"
        " (load_stall_timeout_s sets how long that may be)"
    )


def queue_full(entry: ModelEntry, now: float) -> HostlerError:
    return QueueFullError(
        f"{len(entry.waiters)} requests wait for model {entry.model_id!r} already, as many as may"
        " (max_waiting_per_model)",
        retry_after_s=retry_after_s(entry, now),
    )


def wait_timeout(entry: ModelEntry, residents: Iterable[ModelEntry], waited_s: float, now: float) -> HostlerError:
    return WaitTimeoutError(
        f"waited {waited_s:.0f} s for model {entry.model_id!r}, as long as a request may (acquire_timeout_s):"
        f" {_obstacle(entry, residents, now)}",
        retry_after_s=retry_after_s(entry, now),
    )


def unload_timeout(entry: ModelEntry, waited_s: float, now: float) -> HostlerError:
    return WaitTimeoutError(
        f"model {entry.model_id!r} has not left after {waited_s:.0f} s: {_obstacle(entry, (), now)};"
        " it grants nothing new and leaves when that is over",
        retry_after_s=retry_after_s(entry, now),
    )


def retry_after_s(entry: ModelEntry, now: float) -> float:
    """Seconds until the model may be there, from how long its last load took."""
    if entry.load_s is None:
        return RETRY_AFTER_S
    elapsed_s = now - entry.load_started if entry.state is ModelState.LOADING else 0.0
    return max(MIN_RETRY_AFTER_S, entry.load_s - elapsed_s)


def cooling_down(entry: ModelEntry, now: float) -> HostlerError:
    """The error of the last failure, told again."""
    retry_after_s = max(MIN_RETRY_AFTER_S, entry.retry_at - now)
    failure = entry.last_failure or ModelLoadError(f"model {entry.model_id!r}: {entry.last_error}")
    return type(failure)(
        f"{failure.message} (that was the last try; requests start the next in {retry_after_s:.0f} s at the earliest,"
        f" POST /models/{entry.model_id}/load does at once)",
        param=failure.param,
        retry_after_s=retry_after_s,
    )


def too_large(entry: ModelEntry, budget: Need, residents: Iterable[ModelEntry]) -> HostlerError:
    return ModelTooLargeError(cannot_fit(entry.model_id, entry.options or (), budget, residents), param="model")


def cannot_fit(model_id: str, options: Sequence[Option], budget: Need, residents: Iterable[ModelEntry]) -> str:
    ways = "; ".join(f"on {option.device} {notes.amounts(option.need)}" for option in options)
    problem = f"model {model_id!r} cannot fit: it needs {ways}, and models may take {notes.amounts(budget)}"
    if pinned := [other.model_id for other in residents if other.is_pinned]:
        return (
            f"{problem}, a part of which is kept by {', '.join(pinned)} (pinned); unload one of them, raise"
            " max_concurrent_models or memory_budget, or choose a smaller model"
        )
    return (
        f"{problem}; raise memory_budget, lower max_num_seqs, max_length or kv_cache_memory, or choose a smaller model"
    )


def _obstacle(entry: ModelEntry, residents: Iterable[ModelEntry], now: float) -> str:
    if entry.state is ModelState.LOADING:
        return "it is still loading"
    if entry.state is ModelState.READY:
        return f"it has {len(entry.leases)} requests in flight and is to leave when they end"
    if entry.state is ModelState.UNLOADING:
        return "its process has not ended yet"
    if entry.options is None:
        return "what it needs is not known yet"
    held = ", ".join(notes.occupation(resident, now) for resident in residents)
    return f"it lacks {notes.amounts(entry.lacking or {})}, held by {held} (memory_budget, max_concurrent_models)"
