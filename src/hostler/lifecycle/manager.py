"""Which models are in memory: the part with clocks, tasks and processes."""

import asyncio
import copy
import itertools
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar, cast

from hostler.config import Settings
from hostler.errors import ServiceError
from hostler.lifecycle.clock import Clock, SystemClock, Timer
from hostler.lifecycle.controller import Controller, Limits
from hostler.lifecycle.events import (
    Acquire,
    Effect,
    Event,
    GrantLease,
    LeaveReason,
    Load,
    RefuseWaiter,
    RegistryChanged,
    Release,
    ReportLoaded,
    ReportUnloaded,
    ShutDown,
    StartLoad,
    StopWorker,
    Tick,
    Unload,
    Withdraw,
    WorkerExited,
)
from hostler.lifecycle.lease import ModelLease
from hostler.lifecycle.policy import threads_for
from hostler.lifecycle.ports import Launcher, Worker
from hostler.lifecycle.status import ModelStatus, RegistryChange
from hostler.lifecycle.supervisor import Supervisor
from hostler.registry import ModelSpec, Registry
from hostler.types import DeviceMemory, ModelState

logger = logging.getLogger(__name__)

T = TypeVar("T")


class ModelManager:
    """Loads models when they are asked for and unloads them when they are idle or room is needed.

    All decisions are the controller's: every method sends it an event and carries out what follows, without an await
    in between, so what was decided is still true when it is done. One event loop; not thread-safe.
    """

    def __init__(self, registry: Registry, settings: Settings, launcher: Launcher, clock: Clock | None = None) -> None:
        self._registry = registry
        self._launcher = launcher
        self._clock = clock or SystemClock()
        self._log_progress = settings.log_model_loading
        self._total_threads = settings.total_threads
        limits = Limits(
            max_concurrent_models=settings.max_concurrent_models,
            max_waiting_per_model=settings.max_waiting_per_model,
            acquire_timeout_s=settings.acquire_timeout_s,
            load_stall_timeout_s=settings.load_stall_timeout_s,
            keep_alive_s=settings.keep_alive_s,
        )
        self._controller = Controller(limits, registry)
        self._supervisors: dict[str, Supervisor] = {}
        """By model id: of its worker, until that has exited."""
        self._runs: set[asyncio.Task[None]] = set()
        self._waiters: dict[int, asyncio.Future[object]] = {}
        """By waiter id: resolves to a `ModelLease`, to whether a model was unloaded, or to nothing."""
        self._waiter_ids = itertools.count(1)
        self._timer: Timer | None = None
        self._timer_due: float | None = None

    @property
    def registry(self) -> Registry:
        return self._registry

    async def start(self) -> None:
        await self._launcher.start()

    async def close(self) -> None:
        """Refuse who waits, stop every worker, whatever it does, and wait until all have exited."""
        self._dispatch(ShutDown())
        if self._runs:
            await asyncio.wait(self._runs)
        await self._launcher.close()

    # --- what requests ask for --------------------------------------------------------------------------------------

    async def acquire(self, spec: ModelSpec) -> ModelLease:
        """A hold on the model, loaded as the registry has it now; joins a load, starts one, or waits for room.

        May be cancelled at any time. The load goes on without its caller.

        Raises:
            ModelNotFoundError: it is not registered any more.
            QueueFullError: too many wait for it.
            WaitTimeoutError: it took longer than a request may wait.
            ModelLoadError, RequestError: its load failed.
            ModelUnloadedError: it was told to unload while it was being loaded.
            ShuttingDownError: the server is leaving.
        """
        return cast(ModelLease, await self._ask(partial(Acquire, model_id=spec.id), spec.id))

    async def load(self, spec: ModelSpec, *, force_reload: bool = False) -> None:
        """Have the model in memory; it may leave again at any time after. Raises what `acquire` raises.

        `force_reload`: one that is in memory finishes its requests and leaves first. A load under way is joined.
        """
        await self._ask(partial(Load, model_id=spec.id, force_reload=force_reload), spec.id)

    async def unload(self, model_id: str) -> bool:
        """Have the model out of memory, its requests finished and its process ended; `False` if it was not there.

        New requests wait and have it loaded again. A load under way is stopped, and who waits for it is refused.

        Raises:
            WaitTimeoutError: its requests take long; it leaves when they end.
        """
        return cast(bool, await self._ask(partial(Unload, model_id=model_id), model_id))

    async def unload_all(self) -> list[str]:
        """Unload every model in memory, all at once; the ids of those that were. Raises what `unload` raises."""
        model_ids = [entry.model_id for entry in self._controller.entries() if entry.is_resident]
        unloaded = await asyncio.gather(*map(self.unload, model_ids), return_exceptions=True)
        for outcome in unloaded:
            if isinstance(outcome, BaseException):
                raise outcome
        return [model_id for model_id, was_loaded in zip(model_ids, unloaded, strict=True) if was_loaded]

    def replace_registry(self, registry: Registry) -> RegistryChange:
        """Serve these models from now on.

        Removed and changed ones finish their requests and leave, in the background; who waits for a removed one is
        refused, who waits for a changed one gets it as it is now. The others are not touched.
        """
        change = RegistryChange.between(self._registry, registry)
        self._registry = registry
        self._dispatch(RegistryChanged(frozenset(change.added), frozenset(change.removed), frozenset(change.changed)))
        logger.info(
            "registry_replaced added=%s removed=%s changed=%s num_unchanged=%d",
            *(",".join(ids) or "-" for ids in (change.added, change.removed, change.changed)),
            len(change.unchanged),
        )
        return change

    # --- what can be asked about ------------------------------------------------------------------------------------

    def status(self, model_id: str) -> ModelStatus:
        """How it is with a model; one that is not registered is unloaded. Never loads anything."""
        entry = self._controller.entry(model_id)
        supervisor = self._supervisors.get(model_id)
        worker = supervisor.worker if supervisor else None
        if entry is None:
            return ModelStatus(ModelState.UNLOADED, 0, 0, None, None, None, None, None)
        return ModelStatus(
            state=entry.reported_state,
            num_leases=len(entry.leases),
            num_waiting=len(entry.waiters),
            facts=supervisor.facts if supervisor else None,
            last_used_at=None if entry.last_used is None else self._to_unix_time(entry.last_used),
            progress=supervisor.progress if supervisor and entry.state is ModelState.LOADING else None,
            last_error=entry.last_error,
            pid=worker.pid if worker else None,
        )

    def loaded_ids(self) -> list[str]:
        """Models that are ready, in the order of the registry."""
        return [entry.model_id for entry in self._controller.entries() if entry.reported_state is ModelState.READY]

    @property
    def current_model(self) -> str | None:
        """The last used of the models in `loaded_ids`."""
        ready = [entry for entry in self._controller.entries() if entry.reported_state is ModelState.READY]
        return max(ready, key=lambda entry: entry.last_used or 0.0).model_id if ready else None

    async def free_cached_memory(self) -> int:
        """Have every loaded model return cached device memory; how many bytes that was in all."""
        return sum((await self._ask_workers(lambda worker: worker.free_cached_memory())).values())

    async def device_memory(self) -> dict[str, list[DeviceMemory]]:
        """Accelerator memory of every loaded model, by model id."""
        return await self._ask_workers(lambda worker: worker.device_memory())

    async def _ask_workers(self, question: Callable[[Worker], Awaitable[T]]) -> dict[str, T]:
        async def ask(model_id: str, worker: Worker) -> None:
            try:
                answers[model_id] = await question(worker)
            except ServiceError:
                logger.debug("worker_without_answer model=%s", model_id)

        answers: dict[str, T] = {}
        async with asyncio.TaskGroup() as group:
            for model_id in self.loaded_ids():
                if (worker := self._supervisors[model_id].worker) is not None:
                    group.create_task(ask(model_id, worker))
        return answers

    def _to_unix_time(self, when: float) -> float:
        return self._clock.unix_time() - (self._clock.now() - when)

    # --- events and effects -----------------------------------------------------------------------------------------

    async def _ask(self, event_for: Callable[[int], Acquire | Load | Unload], model_id: str) -> object:
        """Send an event on behalf of a waiter and wait for its answer."""
        waiter_id = next(self._waiter_ids)
        answer = self._waiters[waiter_id] = asyncio.get_running_loop().create_future()
        try:
            self._dispatch(event_for(waiter_id))
            return await answer
        except asyncio.CancelledError:
            # The answer may have come already, in the same turn of the loop; then this releases the lease in it.
            self._dispatch(Withdraw(waiter_id, model_id))
            raise
        finally:
            del self._waiters[waiter_id]

    def _dispatch(self, event: Event) -> None:
        for effect in self._controller.handle(event, self._clock.now()):
            self._carry_out(effect)
        self._share_threads()
        self._set_timer()

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case StartLoad():
                self._start_load(effect)
            case StopWorker():
                self._log_leaving(effect)
                self._supervisors[effect.model_id].stop(effect.reason)
            case GrantLease():
                self._grant(effect)
            case ReportLoaded():
                self._answer(effect.waiter_id, None)
            case ReportUnloaded():
                self._answer(effect.waiter_id, effect.was_loaded)
            case RefuseWaiter():
                if not (answer := self._waiters[effect.waiter_id]).done():
                    # A copy, since several may get the same error and each raise grows its traceback.
                    answer.set_exception(copy.copy(effect.error))

    def _start_load(self, effect: StartLoad) -> None:
        spec = self._registry[effect.model_id]
        supervisor = Supervisor(
            spec, effect.generation, self._launcher, self._on_worker, log_progress=self._log_progress
        )
        self._supervisors[spec.id] = supervisor
        run = asyncio.create_task(supervisor.run(), name=f"model {spec.id} #{effect.generation}")
        self._runs.add(run)
        run.add_done_callback(self._runs.discard)

    def _on_worker(self, event: Event) -> None:
        if isinstance(event, WorkerExited):
            del self._supervisors[event.model_id]
        self._dispatch(event)

    def _grant(self, effect: GrantLease) -> None:
        supervisor = self._supervisors[effect.model_id]
        assert supervisor.worker is not None, "granted before it was loaded"
        release = partial(self._dispatch, Release(effect.waiter_id, effect.model_id))
        self._answer(effect.waiter_id, ModelLease(supervisor.spec, supervisor.worker, release, supervisor.ended))

    def _answer(self, waiter_id: int, answer: object) -> None:
        if not (waiter := self._waiters[waiter_id]).done():
            waiter.set_result(answer)

    def _log_leaving(self, effect: StopWorker) -> None:
        if effect.reason is LeaveReason.EVICTED:
            logger.info("model_evicted model=%s for=%s", effect.model_id, effect.for_model)
        else:
            logger.info("model_unloading model=%s reason=%s", effect.model_id, effect.reason)

    def _share_threads(self) -> None:
        """Before a new lease's holder can use it, since all this happens without an await."""
        busy = [entry.model_id for entry in self._controller.entries() if entry.leases]
        num_threads = threads_for(len(busy), self._total_threads)
        for supervisor in (self._supervisors[model_id] for model_id in busy):
            if supervisor.worker is not None and supervisor.num_threads != num_threads:
                supervisor.num_threads = num_threads
                supervisor.worker.set_num_threads(num_threads)

    def _set_timer(self) -> None:
        due = self._controller.next_deadline()
        if due == self._timer_due:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due
        self._timer = None if due is None else self._clock.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = self._timer_due = None
        self._dispatch(Tick())
