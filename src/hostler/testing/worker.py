"""A worker without a process: loads when told, answers `word0 word1 …`, fails and crashes on command.

A test writes what a model does into its `FakeModel` and then lets the manager, or a server, start it:

    launcher = FakeLauncher()
    launcher.model("gpt2-small").load_gate = asyncio.Event()      # loads until the event is set
    launcher.model("opt-125m").load_error = ModelLoadError("no such file")
    ...
    launcher.worker("gpt2-small").crash()                         # streams raise EngineDeadError
"""

import asyncio
import itertools
from collections.abc import Callable

from hostler.engine_stats import EngineStats
from hostler.errors import EngineDeadError
from hostler.logs import LogLevel
from hostler.registry import ModelSpec
from hostler.testing.engine import FakeEngine
from hostler.testing.model import FakeModel
from hostler.testing.waits import Sleep, first_of
from hostler.types import LoadProgress, ModelFacts


class FakeWorker(FakeEngine):
    """Implements `hostler.lifecycle.ports.Worker`."""

    def __init__(self, spec: ModelSpec, model: FakeModel, pid: int, sleep: Sleep = asyncio.sleep) -> None:
        super().__init__(model, sleep)
        self.spec = spec
        self.exit_reason = ""
        self.num_lost = 0
        self.stop_called = False
        self.num_threads: int | None = None
        """What it was told last."""
        self.pid = pid
        self._report: Callable[[LoadProgress], None] | None = None

    async def load(self, on_progress: Callable[[LoadProgress], None]) -> ModelFacts:
        self._report = on_progress
        for progress in self.model.progress:
            on_progress(progress)
        if self.model.load_s:
            await first_of(self.sleep(self.model.load_s), self.dead.wait())
        if self.model.load_gate is not None:
            await first_of(self.model.load_gate.wait(), self.dead.wait())
        if self.dead.is_set():
            raise EngineDeadError("the model's process ended while it loaded")
        if self.model.load_error is not None:
            raise self.model.load_error
        return self.model.facts

    def report(self, progress: LoadProgress) -> None:
        """Say how far the load has come."""
        assert self._report is not None, "not loading"
        self._report(progress)

    def crash(self, exit_reason: str = "signal SIGKILL") -> None:
        """End the process at once; what runs on it raises `EngineDeadError`."""
        if not self.dead.is_set():
            self.exit_reason = exit_reason
            self.num_lost = len(self.running)
            self.dead.set()

    def set_num_threads(self, num_threads: int) -> None:
        self.num_threads = num_threads

    async def seconds_since_step(self) -> float:
        if self.dead.is_set():
            raise EngineDeadError("the fake worker is dead")
        if self.model.heartbeat_gate is not None:
            await self.model.heartbeat_gate.wait()
        return self.model.seconds_since_step

    async def stats(self) -> EngineStats:
        if self.model.stats_gate is not None:
            await self.model.stats_gate.wait()
        return self.model.stats

    async def wait_exited(self) -> str:
        await self.dead.wait()
        return self.exit_reason

    async def stop(self, grace_s: float = 5.0) -> None:
        self.stop_called = True
        if self.model.stop_gate is not None:
            await first_of(self.model.stop_gate.wait(), self.dead.wait())
        self.crash("exit status 0")
        if self.model.stop_error is not None:
            raise self.model.stop_error


class FakeLauncher:
    """Implements `hostler.lifecycle.ports.Launcher`."""

    def __init__(self, sleep: Sleep = asyncio.sleep) -> None:
        self.workers: list[FakeWorker] = []
        """Every worker that was ever started, in that order."""
        self.is_started = False
        self.is_closed = False
        self.log_level: LogLevel | None = None
        """What it was told last."""
        self._models: dict[str, FakeModel] = {}
        self._sleep = sleep
        self._pids = itertools.count(1000)

    def model(self, model_id: str) -> FakeModel:
        """What workers of that model do; made on first use."""
        return self._models.setdefault(model_id, FakeModel())

    def forget_models(self) -> None:
        """What they do; workers that run go on as they were told."""
        self._models.clear()

    def workers_of(self, model_id: str) -> list[FakeWorker]:
        return [worker for worker in self.workers if worker.spec.id == model_id]

    def worker(self, model_id: str) -> FakeWorker:
        """The model's latest worker."""
        return self.workers_of(model_id)[-1]

    @property
    def alive(self) -> list[FakeWorker]:
        return [worker for worker in self.workers if not worker.dead.is_set()]

    async def start(self) -> None:
        self.is_started = True

    async def launch(self, spec: ModelSpec) -> FakeWorker:
        model = self.model(spec.id)
        if model.launch_error is not None:
            raise model.launch_error
        if model.launch_gate is not None:
            await model.launch_gate.wait()
        worker = FakeWorker(spec, model, next(self._pids), self._sleep)
        self.workers.append(worker)
        return worker

    def set_log_level(self, level: LogLevel) -> None:
        self.log_level = level

    async def close(self) -> None:
        self.is_closed = True
