"""What the lifecycle needs of the processes it starts; `hostler.worker` provides it, tests fake it."""

from collections.abc import Callable
from typing import Protocol

from hostler.engine_client import EngineClient
from hostler.engine_stats import EngineStats
from hostler.logs import LogLevel
from hostler.memory import Estimate, Footprint
from hostler.registry import ModelSpec
from hostler.types import LoadProgress, ModelFacts


class Worker(EngineClient, Protocol):
    """One process that holds, or is to hold, one model."""

    @property
    def pid(self) -> int: ...

    @property
    def num_lost(self) -> int:
        """How many requests it had accepted and not answered when its process ended; 0 until then."""
        ...

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

    async def seconds_since_step(self) -> float:
        """How long ago its engine last ended a step or found nothing to do; 0 while it has nothing to do.

        Raises:
            EngineDeadError: the process ended.
        """
        ...

    async def stats(self) -> EngineStats:
        """What its engine has done; to be asked once it is loaded.

        Raises:
            EngineDeadError: the process ended.
        """
        ...

    async def wait_exited(self) -> str:
        """Wait until the process has ended, for whatever reason; says how (`exit status 0`, `signal SIGKILL`)."""
        ...

    async def stop(self, grace_s: float = 5.0) -> None:
        """End the process, kindly at first, by SIGKILL after the grace; returns when it has ended. Idempotent."""
        ...


class Estimator(Protocol):
    """Tells what a model will take before it is loaded. `hostler.models.estimator` provides it, tests fake it."""

    async def estimate(self, spec: ModelSpec, device: str) -> Estimate:
        """On a device of that kind (`cpu`, `cuda:0`). Never raises and never takes long: where the files cannot be
        looked at, it rests on less."""
        ...

    async def record(self, spec: ModelSpec, footprint: Footprint, facts: ModelFacts) -> None:
        """Remember what a load has shown; `footprint` is what had been estimated for it. Never raises."""
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

    def set_log_level(self, level: LogLevel) -> None:
        """Of every worker that runs, and of those to come."""
        ...

    async def close(self) -> None:
        """End what `start` began. Workers are stopped by their owner before."""
        ...
