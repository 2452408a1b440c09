"""A request's hold on a loaded model."""

import asyncio
from collections.abc import Callable
from types import TracebackType

from hostler.registry import ModelSpec
from hostler.types import EngineClient


class ModelLease:
    """While it is held, its model is not unloaded to make room, for idleness, or by command.

    Whoever acquires it hands it over or releases it, on every path; `with` does that.
    """

    def __init__(
        self, spec: ModelSpec, engine: EngineClient, release: Callable[[], None], worker_ended: asyncio.Event
    ) -> None:
        self.spec = spec
        """As the model was loaded; the registry may have moved on."""
        self.engine = engine
        self.worker_ended = worker_ended
        """Set when its process is gone and the manager knows: the next `acquire` starts another."""
        self._release: Callable[[], None] | None = release

    def release(self) -> None:
        """End the hold. Idempotent, and harmless when the worker has died."""
        release, self._release = self._release, None
        if release is not None:
            release()

    def __enter__(self) -> "ModelLease":
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<ModelLease {self.spec.id} {'released' if self._release is None else 'held'}>"
