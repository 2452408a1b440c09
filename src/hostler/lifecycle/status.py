"""What the manager tells about models."""

from dataclasses import dataclass

from hostler.registry import Registry
from hostler.types import LoadProgress, ModelFacts, ModelState


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


@dataclass(frozen=True)
class RegistryChange:
    """How two registries differ: model ids, in the order of the new registry, removed ones in that of the old."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]

    @classmethod
    def between(cls, old: Registry, new: Registry) -> "RegistryChange":
        return cls(
            added=tuple(model_id for model_id in new if model_id not in old),
            removed=tuple(model_id for model_id in old if model_id not in new),
            changed=tuple(model_id for model_id in new if model_id in old and new[model_id] != old[model_id]),
            unchanged=tuple(model_id for model_id in new if model_id in old and new[model_id] == old[model_id]),
        )
