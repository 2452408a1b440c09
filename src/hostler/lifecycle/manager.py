"""Which models are in memory: the part with clocks, tasks and processes."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar, cast

import msgspec

from hostler.accelerators import Gpus
from hostler.config import Settings
from hostler.lifecycle import notes
from hostler.lifecycle.alarm import Alarm
from hostler.lifecycle.all_workers import AllWorkers
from hostler.lifecycle.answers import Answers
from hostler.lifecycle.clock import Clock, SystemClock
from hostler.lifecycle.controller import Controller
from hostler.lifecycle.events import (
    Acquire,
    BudgetChanged,
    Drain,
    Effect,
    EstimateNeed,
    Event,
    GrantLease,
    Load,
    LoadSucceeded,
    NeedEstimated,
    Note,
    Profile,
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
from hostler.lifecycle.journal import Journal
from hostler.lifecycle.lease import ModelLease
from hostler.lifecycle.ledger import Need
from hostler.lifecycle.limits import Limits
from hostler.lifecycle.placement import Placer, Placing, measured_need, placed
from hostler.lifecycle.plan import Plan, make_plan
from hostler.lifecycle.policy import threads_for
from hostler.lifecycle.ports import Estimator, Launcher, Worker
from hostler.lifecycle.status import ModelStatus, RegistryChange, status_of
from hostler.lifecycle.supervisor import Supervisor
from hostler.logs import LogLevel
from hostler.memory import FootprintBasis
from hostler.registry import ModelSpec, Registry
from hostler.types import ANYBODY, Caller, ModelState

logger = logging.getLogger(__name__)

T = TypeVar("T")


class ModelManager:
    """Loads models when they are asked for and unloads them when they are idle or room is needed.

    All decisions are the controller's: every method sends it an event and carries out what follows, without an await
    in between, so what was decided is still true when it is done. One event loop; not thread-safe.
    """

    def __init__(
        self,
        registry: Registry,
        settings: Settings,
        launcher: Launcher,
        estimator: Estimator,
        clock: Clock | None = None,
        gpus: Gpus | None = None,
    ) -> None:
        self._registry = registry
        self._settings = settings
        self._launcher = launcher
        self._estimator = estimator
        self._clock = clock or SystemClock()
        self.journal = Journal(self._clock)
        """What happened to the models, and why."""
        self.gpus = gpus or Gpus()
        """Probed by `start`."""
        self.is_draining = False
        """Whether the server is leaving."""
        self._placer = Placer(estimator, settings.memory_budget, settings.max_concurrent_models, self.gpus)
        self._placings: dict[str, Placing] = {}
        """By model id: what was last found out."""
        limits = Limits(
            max_waiting_per_model=settings.max_waiting_per_model,
            acquire_timeout_s=settings.acquire_timeout_s,
            load_stall_timeout_s=settings.load_stall_timeout_s,
            keep_alive_s=settings.keep_alive_s,
        )
        self._controller = Controller(limits, self._placer.budget, _profiles(registry))
        self._supervisors: dict[str, Supervisor] = {}
        """By model id: of its worker, until that has exited."""
        self.workers = AllWorkers(self._loaded_workers)
        self._runs: set[asyncio.Task[None]] = set()
        self._chores: set[asyncio.Task[None]] = set()
        """Kept, since a loop holds its tasks weakly."""
        self._answers = Answers()
        """A `ModelLease`, whether a model was unloaded, or nothing."""
        self._alarm = Alarm(self._clock, partial(self._dispatch, Tick()))

    @property
    def registry(self) -> Registry:
        return self._registry

    async def start(self) -> None:
        """Returns at once; what takes long goes on in the background, and loads wait for it."""
        await self._launcher.start()
        self._spawn(self._probe(), "probe")

    def set_log_level(self, level: LogLevel) -> None:
        """Of all workers."""
        self._launcher.set_log_level(level)

    def drain(self) -> None:
        """Refuse who waits, now and later; requests that have their model keep it until `close`."""
        self.is_draining = True
        self._dispatch(Drain())

    async def close(self) -> None:
        """Refuse who waits, stop every worker, whatever it does, and wait until all have exited."""
        self._dispatch(ShutDown())
        for task in self._chores:
            task.cancel()
        if self._runs:
            await asyncio.wait(self._runs)
        self._alarm.cancel()
        await self._launcher.close()

    # --- what requests ask for --------------------------------------------------------------------------------------

    async def acquire(
        self, spec: ModelSpec, *, keep_alive_s: float | None = None, caller: Caller = ANYBODY
    ) -> ModelLease:
        """A hold on the model, loaded as the registry has it now; joins a load, starts one, or waits for room.

        May be cancelled at any time. The load goes on without its caller. `keep_alive_s`: how long the model stays
        without a lease from now on; infinity: for ever; `None`: leaves that as it is.

        Raises:
            ModelNotFoundError: it is not registered any more.
            ModelTooLargeError: it can never fit.
            QueueFullError: too many wait for it.
            WaitTimeoutError: it took longer than a request may wait.
            ModelLoadError, RequestError: its load failed, now or a moment ago.
            ModelUnloadedError: it was told to unload while it was being loaded.
            ShuttingDownError: the server is leaving.
        """
        wish = partial(Acquire, model_id=spec.id, keep_alive_s=keep_alive_s, caller=caller)
        return cast(ModelLease, await self._ask(wish, spec.id))

    async def load(
        self,
        spec: ModelSpec,
        *,
        force_reload: bool = False,
        keep_alive_s: float | None = None,
        is_pinned: bool | None = None,
    ) -> None:
        """Have the model in memory; unless it is pinned it may leave again at any time after. Raises what `acquire`
        raises.

        Unlike `acquire`, it tries again at once where the last load has just failed.

        `force_reload`: one that is in memory finishes its requests and leaves first. A load under way is joined.
        """
        load = partial(
            Load, model_id=spec.id, force_reload=force_reload, keep_alive_s=keep_alive_s, is_pinned=is_pinned
        )
        await self._ask(load, spec.id)

    async def unload(self, model_id: str, *, force: bool = False) -> bool:
        """Have the model out of memory, its requests finished and its process ended; `False` if it was not there.

        `force`: its requests are not waited for; they fail with an error that says so.
        New requests wait and have it loaded again. A load under way is stopped, and who waits for it is refused.

        Raises:
            WaitTimeoutError: its requests take long; it leaves when they end.
        """
        return cast(bool, await self._ask(partial(Unload, model_id=model_id, is_forced=force), model_id))

    async def unload_all(self, *, force: bool = False) -> list[str]:
        """Unload every model in memory, all at once; the ids of those that were. Raises what `unload` raises."""
        model_ids = [entry.model_id for entry in self._controller.stable if entry.is_resident]
        unloaded = await asyncio.gather(
            *(self.unload(model_id, force=force) for model_id in model_ids), return_exceptions=True
        )
        for outcome in unloaded:
            if isinstance(outcome, BaseException):
                raise outcome
        return [model_id for model_id, was_loaded in zip(model_ids, unloaded, strict=True) if was_loaded]

    def replace_registry(self, registry: Registry) -> RegistryChange:
        """Serve these models from now on.

        Removed and changed ones finish their requests and leave, in the background; who waits for a removed one is
        refused, who waits for a changed one gets it as it is now. The others are not touched.
        """
        change = self.preview(registry)
        self._registry = registry
        self._placings = {model_id: placing for model_id, placing in self._placings.items() if model_id in registry}
        self._dispatch(RegistryChanged(_profiles(registry), frozenset(change.changed)))
        logger.info(
            "registry_replaced added=%s removed=%s changed=%s num_unchanged=%d",
            *(",".join(ids) or "-" for ids in (change.added, change.removed, change.changed)),
            len(change.unchanged),
        )
        return change

    def preview(self, registry: Registry) -> RegistryChange:
        """What `replace_registry` would change; nothing does."""
        return RegistryChange.between(self._registry, registry)

    # --- what can be asked about ------------------------------------------------------------------------------------

    def status(self, model_id: str) -> ModelStatus:
        """How it is with a model; one that is not registered is unloaded. Never loads anything."""
        entry = self._controller.stable.get(model_id)
        return status_of(entry, self._supervisors.get(model_id), self._clock)

    async def plan(self, spec: ModelSpec) -> Plan:
        """What would happen if the model were asked for now, and why. Changes nothing."""
        placing = await self._placer.place(spec, self._controller.stable.ledger.held)
        available = await self._placer.available()
        return make_plan(self._controller.stable, spec.id, placing, available, self._clock.now())

    @property
    def budget(self) -> Need:
        """What models may take in all, by resource."""
        return self._controller.stable.ledger.budget

    @property
    def free(self) -> Need:
        """What of the budget is promised to nobody, by resource."""
        return self._controller.stable.ledger.free

    def reserved(self, model_id: str) -> Need:
        """What is reserved for a model, by resource; empty for one that is not in memory."""
        return self._controller.stable.ledger.held_by(model_id)

    def stuck_ids(self) -> list[str]:
        """Models that have requests and make no step; before long, they are ended."""
        return [model_id for model_id, supervisor in self._supervisors.items() if supervisor.is_stuck]

    def loaded_ids(self) -> list[str]:
        """Models that are ready, in the order of the registry."""
        return [entry.model_id for entry in self._controller.stable if entry.reported_state is ModelState.READY]

    @property
    def current_model(self) -> str | None:
        """The last used of the models in `loaded_ids`."""
        ready = [entry for entry in self._controller.stable if entry.reported_state is ModelState.READY]
        return max(ready, key=lambda entry: entry.last_used or 0.0).model_id if ready else None

    def _loaded_workers(self) -> dict[str, Worker]:
        workers = {model_id: self._supervisors[model_id].worker for model_id in self.loaded_ids()}
        return {model_id: worker for model_id, worker in workers.items() if worker is not None}

    # --- events and effects -----------------------------------------------------------------------------------------

    async def _ask(self, event_for: Callable[[int], Acquire | Load | Unload], model_id: str) -> object:
        """Send an event on behalf of a waiter and wait for its answer."""
        with self._answers.awaited() as (waiter_id, answer):
            try:
                self._dispatch(event_for(waiter_id))
                return await answer
            except asyncio.CancelledError:
                # The answer may have come already, in the same turn of the loop; then this releases the lease in it.
                self._dispatch(Withdraw(waiter_id, model_id))
                raise

    def _dispatch(self, event: Event) -> None:
        for effect in self._controller.handle(event, self._clock.now()):
            self._carry_out(effect)
        self._share_threads()
        self._alarm.set(self._controller.next_deadline())

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case EstimateNeed():
                self._spawn(self._estimate(effect), f"estimate {effect.model_id}")
            case Note():
                self.journal.add(effect)
            case StartLoad():
                self._start_load(effect)
            case StopWorker():
                self._supervisors[effect.model_id].stop(effect.reason)
            case GrantLease():
                self._grant(effect)
            case ReportLoaded():
                self._answers.give(effect.waiter_id, None)
            case ReportUnloaded():
                self._answers.give(effect.waiter_id, effect.was_loaded)
            case RefuseWaiter():
                self._answers.refuse(effect.waiter_id, effect.error)

    def _spawn(self, chore: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(chore, name=name)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    async def _probe(self) -> None:
        await self._placer.probe()
        self._dispatch(BudgetChanged(self._placer.budget))

    async def _estimate(self, effect: EstimateNeed) -> None:
        if (spec := self._registry.get(effect.model_id)) is None:
            return  # it was removed meanwhile, and nobody waits for it
        placing = await self._placer.place(spec, self._controller.stable.ledger.held)
        entry = self._controller.stable.get(spec.id)
        if entry is None or entry.num_estimates != effect.number:
            return  # the model is another now, and asked about again
        self._placings[spec.id] = placing
        self._dispatch(NeedEstimated(spec.id, effect.number, placing.options, placing.load_s))

    def _start_load(self, effect: StartLoad) -> None:
        footprint = self._placings[effect.model_id].footprint
        supervisor = Supervisor(
            placed(self._registry[effect.model_id], effect.option, footprint),
            effect.generation,
            self._launcher,
            self._on_worker,
            partial(measured_need, footprint),
            self._clock,
            log_progress=self._settings.log_model_loading,
            hang_timeout_s=self._settings.hang_timeout_s,
        )
        self._supervisors[effect.model_id] = supervisor
        run = asyncio.create_task(supervisor.run(), name=f"model {effect.model_id} #{effect.generation}")
        self._runs.add(run)
        run.add_done_callback(self._runs.discard)
        if footprint.basis is not FootprintBasis.SIZE:
            self._spawn(self._warn_if_short(effect.model_id, effect.option.need), f"look for {effect.model_id}")

    async def _warn_if_short(self, model_id: str, need: Need) -> None:
        if (note := notes.short(model_id, need, await self._placer.available())) is not None:
            self.journal.add(note)

    def _on_worker(self, event: Event) -> None:
        if isinstance(event, WorkerExited):
            del self._supervisors[event.model_id]
        self._dispatch(event)
        if isinstance(event, LoadSucceeded):
            self._remember(event.model_id)

    def _remember(self, model_id: str) -> None:
        """What this load has shown, the seconds from the decision to load on included."""
        entry, supervisor = self._controller.stable[model_id], self._supervisors[model_id]
        placing = self._placings.get(model_id)
        if supervisor.facts is not None and placing is not None and entry.load_s is not None:
            facts = msgspec.structs.replace(supervisor.facts, load_s=entry.load_s)
            record = self._estimator.record(supervisor.spec, placing.footprint, facts)
            self._spawn(record, f"record {model_id}")

    def _grant(self, effect: GrantLease) -> None:
        supervisor = self._supervisors[effect.model_id]
        assert supervisor.worker is not None, "granted before it was loaded"
        release = partial(self._dispatch, Release(effect.waiter_id, effect.model_id))
        lease = ModelLease(
            supervisor.spec, supervisor.worker, release, supervisor.ended, lambda: supervisor.stop_reason
        )
        self._answers.give(effect.waiter_id, lease)

    def _share_threads(self) -> None:
        """Before a new lease's holder can use it, since all this happens without an await."""
        busy = [entry.model_id for entry in self._controller.stable.in_memory if entry.leases]
        num_threads = threads_for(len(busy), self._settings.total_threads)
        for supervisor in (self._supervisors[model_id] for model_id in busy):
            if supervisor.worker is not None and supervisor.num_threads != num_threads:
                supervisor.num_threads = num_threads
                supervisor.worker.set_num_threads(num_threads)


def _profiles(registry: Registry) -> dict[str, Profile]:
    return {model_id: Profile(spec.pinned, spec.keep_alive_s) for model_id, spec in registry.items()}
