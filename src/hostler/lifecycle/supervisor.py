"""One worker's life, from launch to exit, as one task."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TypeVar

from hostler.errors import EngineDeadError, HostlerError, ModelLoadError, ServiceError
from hostler.lifecycle import refusals
from hostler.lifecycle.clock import Clock
from hostler.lifecycle.events import (
    Event,
    LeaveReason,
    LoadFailed,
    LoadProgressed,
    LoadSucceeded,
    WorkerExited,
    WorkerHung,
)
from hostler.lifecycle.ledger import Need
from hostler.lifecycle.ports import Launcher, Worker
from hostler.registry import ModelSpec
from hostler.types import LoadProgress, ModelFacts

logger = logging.getLogger(__name__)

T = TypeVar("T")

STOP_GRACE_S = 5.0
ONCE_STAGES = frozenset(("downloading", "converting"))
"""Of a load: what the next one of the same model finds done."""
CHECKS_PER_HANG = 4
"""How often a worker is asked while it might hang: it is found out a quarter too late at most."""


class Supervisor:
    """Brings one worker up, tells what becomes of it, and ends it when told.

    Whatever happens, the last event is one `WorkerExited`, and then no process is left.
    """

    def __init__(
        self,
        spec: ModelSpec,
        generation: int,
        launcher: Launcher,
        report: Callable[[Event], None],
        need_of: Callable[[ModelFacts], Need | None],
        clock: Clock,
        *,
        log_progress: bool,
        hang_timeout_s: float,
    ) -> None:
        """`need_of`: what a model takes, as its facts tell."""
        self.spec = spec
        self.generation = generation
        self.worker: Worker | None = None
        """`None` until its process was started."""
        self.facts: ModelFacts | None = None
        """`None` until it is loaded."""
        self.progress: LoadProgress | None = None
        """`None` until it has reported any."""
        self.num_threads: int | None = None
        """What the worker was told last; `None`: nothing yet."""
        self._launcher = launcher
        self._report = report
        self._need_of = need_of
        self._clock = clock
        self._log_progress = log_progress
        self._hang_timeout_s = hang_timeout_s
        self.is_stuck = False
        """Whether its loop has made no step for half of the time after which it is ended."""
        self.ended = asyncio.Event()
        """Set once its process has ended and that has been told."""
        self._once_s = 0.0
        """Seconds of the load that went into `ONCE_STAGES`."""
        self._stage_since = 0.0
        self._stopping = asyncio.Event()
        self._stop_reason: LeaveReason | None = None

    @property
    def stop_reason(self) -> LeaveReason | None:
        """Why it was told to end its worker; `None` while it was not."""
        return self._stop_reason

    def stop(self, reason: LeaveReason) -> None:
        """Give up launching or loading, and end the process; `run` returns when it has ended."""
        self._stop_reason = reason
        self._stopping.set()

    async def run(self) -> None:
        exit_reason = "no process was started"
        try:
            bring_up = asyncio.create_task(self._bring_up())
            await self._until_stopped(bring_up)
            bring_up.cancel()
            await asyncio.wait({bring_up})
            if self.worker is not None:
                exit_reason = await self._see_off(self.worker)
        except Exception:
            logger.exception("worker_lost model=%s generation=%d", self.spec.id, self.generation)
            exit_reason = "its end was not seen; the log has more"
        finally:
            num_lost = 0 if self.worker is None else self.worker.num_lost
            self._report(WorkerExited(self.spec.id, self.generation, exit_reason, num_lost))
            self.ended.set()

    async def _bring_up(self) -> None:
        """Launch and load. Every failure becomes an event."""
        started = time.monotonic()
        try:
            self.worker = await self._launcher.launch(self.spec)
            self.facts = await self.worker.load(self._on_progress)
        except Exception as exc:
            error = await self._translate(exc)
            self._report(LoadFailed(self.spec.id, self.generation, error))
        else:
            logger.info(
                "model_loaded model=%s seconds=%.2f pid=%d architecture=%s device=%s dtype=%s",
                *(self.spec.id, time.monotonic() - started, self.worker.pid),
                *(self.facts.architecture, self.facts.device, self.facts.dtype),
            )
            self._report(LoadSucceeded(self.spec.id, self.generation, self._need_of(self.facts), once_s=self._once_s))

    async def _watch(self, worker: Worker) -> None:
        """Until it ends or hangs: a socket that answers says nothing of the loop that computes."""
        while self.facts is not None:
            await self._clock.sleep(self._hang_timeout_s / CHECKS_PER_HANG)
            try:
                idle_s = await self._seconds_since_step(worker)
            except ServiceError:
                return
            self.is_stuck = idle_s >= self._hang_timeout_s / 2
            if idle_s >= self._hang_timeout_s:
                logger.error("worker_hung model=%s pid=%d seconds=%.0f", self.spec.id, worker.pid, idle_s)
                self._report(WorkerHung(self.spec.id, self.generation))
                return

    async def _seconds_since_step(self, worker: Worker) -> float:
        """A process that does not even answer makes no step either."""
        answer = asyncio.ensure_future(worker.seconds_since_step())
        try:
            answered, _ = await asyncio.wait((answer,), timeout=self._hang_timeout_s / 2)
            if not answered:
                self.is_stuck = True
            return await asyncio.wait_for(answer, self._hang_timeout_s / 2)
        except TimeoutError:
            return self._hang_timeout_s
        finally:
            answer.cancel()

    async def _translate(self, exc: Exception) -> HostlerError:
        if isinstance(exc, EngineDeadError) and self.worker is not None:
            return refusals.worker_ended(self.spec.id, await self.worker.wait_exited())
        if isinstance(exc, HostlerError):
            return exc
        logger.error("model_load_broken model=%s", self.spec.id, exc_info=exc)
        return ModelLoadError(f"loading model {self.spec.id!r} failed for a reason that only the server's log tells")

    def _on_progress(self, progress: LoadProgress) -> None:
        if progress == self.progress:
            return  # a sign of life, but no progress
        before, self.progress = self.progress, progress
        if before is None or progress.stage != before.stage:
            self._note_stage(progress.stage, before.stage if before is not None else None)
        self._report(LoadProgressed(self.spec.id, self.generation))

    def _note_stage(self, stage: str, before: str | None) -> None:
        now = self._clock.now()
        if before in ONCE_STAGES:
            self._once_s += now - self._stage_since
        self._stage_since = now
        if self._log_progress:
            logger.info("model_load_stage model=%s stage=%s", self.spec.id, stage)

    async def _see_off(self, worker: Worker) -> str:
        """Wait until the process has ended, by itself or because it was told to; how it ended."""
        exited = asyncio.create_task(worker.wait_exited())
        watching = asyncio.create_task(self._watch(worker))
        try:
            await self._until_stopped(exited)
            if not exited.done():
                # One that hangs would not read what it is told.
                await worker.stop(0.0 if self.stop_reason is LeaveReason.HUNG else STOP_GRACE_S)
            exit_reason = await exited
        finally:
            exited.cancel()
            watching.cancel()
        facts = (self.spec.id, worker.pid, exit_reason)
        if self._stop_reason is None:
            logger.warning("worker_died model=%s pid=%d exit=%r num_lost=%d", *facts, worker.num_lost)
        else:
            logger.info("model_unloaded model=%s pid=%d exit=%r reason=%s", *facts, self._stop_reason)
        return exit_reason

    async def _until_stopped(self, work: asyncio.Task[T]) -> None:
        """Wait until the work is done, or may be given up because of `stop`."""
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
