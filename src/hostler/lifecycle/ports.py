"""What the lifecycle needs of the processes it starts; `hostler.worker` provides it, tests fake it."""

from collections.abc import Callable
from typing import Protocol

from hostler.registry import ModelSpec
from hostler.types import EngineClient, LoadProgress, ModelFacts


class Worker(EngineClient, Protocol):
    """One process that holds, or is to hold, one model."""

    @property
    def pid(self) -> int: ...

    async def load(self, on_progress: Callable[[LoadProgress], None]) -> ModelFacts:
        """Load the model the process was started for. Called once; `generate` may be called after it.

        Raises:
            RequestError: loading cannot succeed as asked (gated, not found).
            ModelLoadError: it failed.
            EngineDeadError: the process ended.
        """
        ...

    def set_num_threads(self, num_threads: int) -> None:
        """Compute with so many threads from the next step on. May be called once it is loaded; never blocks."""
        ...

    async def wait_exited(self) -> str:
        """Wait until the process has ended, for whatever reason; says how (`exit status 0`, `signal SIGKILL`)."""
        ...

    async def stop(self, grace_s: float = 5.0) -> None:
        """End the process, kindly at first, by SIGKILL after the grace; returns when it has ended. Idempotent."""
        ...


class Launcher(Protocol):
    """Starts workers."""

    async def start(self) -> None:
        """Warm up what makes later launches quick. Returns at once; launches wait for it."""
        ...

    async def launch(self, spec: ModelSpec) -> Worker:
        """Start a process for a model; it has not begun to load. When cancelled, it leaves no process.

        Raises:
            ModelLoadError: no process could be started.
        """
        ...

    async def close(self) -> None:
        """End what `start` began. Workers are stopped by their owner before."""
        ...
