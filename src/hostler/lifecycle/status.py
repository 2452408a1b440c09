"""What the manager tells about models."""

from dataclasses import dataclass

import msgspec

from hostler.lifecycle.clock import Clock
from hostler.lifecycle.entry import ModelEntry
from hostler.lifecycle.supervisor import Supervisor
from hostler.registry import ModelSpec, Registry
from hostler.types import LoadProgress, ModelFacts, ModelState, ModelType


@dataclass(frozen=True)
class ModelStatus:
    """One model at one moment."""

    state: ModelState
    """`UNLOADING` from the moment it was told to leave, while requests in flight still run."""
    num_leases: int
    num_waiting: int
    """Requests that wait for it to be loaded."""
    facts: ModelFacts | None
    """`None` unless it is loaded."""
    last_used_at: float | None
    """Unix seconds; a load counts as use. `None`: not since the server started."""
    progress: LoadProgress | None
    """Of the load under way; `None` when there is none, or it has not reported any."""
    last_error: str | None
    """Why its last load failed or its worker died; `None` once it is loaded again."""
    pid: int | None
    """Of its worker."""
    load_s: float | None = None
    """How long its last load took, without what only a first one has to do; `None` where none is known."""
    load_started_at: float | None = None
    """Unix seconds; `None` unless it is loading."""
    retry_after_s: float | None = None
    """After a failure: for how long requests are still refused."""
    asked_keep_alive_s: float | None = None
    """How long the last request that said so wants it to stay; `None`: as its entry says."""
    is_pinned: bool = False
    """Whether it stays until it is told to leave, by its entry or by the last load that said."""


def status_of(entry: ModelEntry | None, supervisor: Supervisor | None, clock: Clock) -> ModelStatus:
    """From what the controller and a model's supervisor know; both `None` for a model that is not registered."""
    if entry is None:
        return ModelStatus(ModelState.UNLOADED, 0, 0, None, None, None, None, None)
    is_loading = entry.state is ModelState.LOADING
    started = clock.unix_time() - clock.now()
    return ModelStatus(
        state=entry.reported_state,
        num_leases=len(entry.leases),
        num_waiting=len(entry.waiters),
        facts=supervisor.facts if supervisor else None,
        last_used_at=None if entry.last_used is None else started + entry.last_used,
        progress=supervisor.progress if supervisor and is_loading else None,
        last_error=entry.last_error,
        pid=supervisor.worker.pid if supervisor and supervisor.worker else None,
        load_s=entry.load_s,
        load_started_at=started + entry.load_started if is_loading else None,
        retry_after_s=max(0.0, entry.retry_at - clock.now()) or None,
        asked_keep_alive_s=entry.keep_alive_s,
        is_pinned=entry.is_pinned,
    )


@dataclass(frozen=True)
class RegistryChange:
    """How two registries differ: model ids, in the order of the new registry, removed ones in that of the old."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    """Those that have to be loaded anew."""
    updated: tuple[str, ...]
    """Those whose entry says something else that holds at once, such as a description or `keep_alive`."""
    unchanged: tuple[str, ...]

    @classmethod
    def between(cls, old: Registry, new: Registry) -> "RegistryChange":
        both = [model_id for model_id in new if model_id in old]
        reloaded = {model_id for model_id in both if _as_loaded(new[model_id]) != _as_loaded(old[model_id])}
        return cls(
            added=tuple(model_id for model_id in new if model_id not in old),
            removed=tuple(model_id for model_id in old if model_id not in new),
            changed=tuple(model_id for model_id in both if model_id in reloaded),
            updated=tuple(model_id for model_id in both if model_id not in reloaded and new[model_id] != old[model_id]),
            unchanged=tuple(model_id for model_id in both if new[model_id] == old[model_id]),
        )


def _as_loaded(spec: ModelSpec) -> ModelSpec:
    """A model without what its worker does not depend on."""
    return msgspec.structs.replace(
        spec,
        name="",
        type=ModelType.TEXT,
        size="",
        description="",
        suggested_temperature=0.0,
        gated=False,
        pinned=False,
        keep_alive_s=None,
    )
