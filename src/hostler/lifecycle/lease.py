"""A request's hold on a loaded model."""

import asyncio
from collections.abc import Callable
from types import TracebackType

from hostler.engine_client import EngineClient
from hostler.errors import EngineDeadError, ModelUnloadedError, ServiceError, ShuttingDownError
from hostler.lifecycle.events import LeaveReason
from hostler.registry import ModelSpec


class ModelLease:
    """While it is held, its model is not unloaded to make room, for idleness, or by command.

    Whoever acquires it hands it over or releases it, on every path; `with` does that.
    """

    def __init__(
        self,
        spec: ModelSpec,
        engine: EngineClient,
        release: Callable[[], None],
        worker_ended: asyncio.Event,
        stop_reason: Callable[[], LeaveReason | None],
    ) -> None:
        """`stop_reason`: why its worker was told to end; `None` while it was not."""
        self.spec = spec
        """As the model was loaded; the registry may have moved on."""
        self.engine = engine
        self.worker_ended = worker_ended
        """Set when its process is gone and the manager knows: the next `acquire` starts another."""
        self._release: Callable[[], None] | None = release
        self._stop_reason = stop_reason

    def release(self) -> None:
        """End the hold. Idempotent, and harmless when the worker has died."""
        release, self._release = self._release, None
        if release is not None:
            release()

    def loss(self) -> ServiceError | None:
        """What to tell a request that was not done when its worker was ended; `None`: that ended by itself.

        An `EngineDeadError` where the worker was at fault, and another is worth a try.
        """
        match self._stop_reason():
            case LeaveReason.SHUTDOWN:
                return ShuttingDownError("the server is shutting down and could not wait for the end of the answer")
            case LeaveReason.UNLOADED:
                return ModelUnloadedError(
                    f"model {self.spec.id!r} was told to leave at once (force), before the answer was complete;"
                    " ask again to load it",
                    retry_after_s=1.0,
                )
            case LeaveReason.HUNG:
                return EngineDeadError(
                    f"model {self.spec.id!r} had requests and made no step (hang_timeout_s), so its process was ended;"
                    " the next request starts it again"
                )
            case _:
                return None

    def __enter__(self) -> "ModelLease":
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<ModelLease {self.spec.id} {'released' if self._release is None else 'held'}>"
