"""Where a model can go and what it takes there, from estimates and from what the machine has."""

import asyncio
import importlib.metadata
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from hostler import host_memory
from hostler.accelerators import Gpus
from hostler.lifecycle.ledger import HOST, PLACES, Need, minimum, plus
from hostler.lifecycle.policy import Option
from hostler.lifecycle.ports import Estimator
from hostler.lifecycle.spread import even_need, joined, measured_spread, split, spread_need
from hostler.memory import Footprint, FootprintBasis
from hostler.quantities import MemoryBudget
from hostler.registry import ModelSpec
from hostler.types import ModelFacts

logger = logging.getLogger(__name__)

NO_FOOTPRINT = Footprint(
    weights_bytes=0, kv_cache_bytes=0, workspace_bytes=0, process_bytes=0, basis=FootprintBasis.SIZE
)
"""Of a model that nothing is known of."""


@dataclass(frozen=True)
class Placing:
    """What was found out about one model."""

    options: Sequence[Option]
    footprint: Footprint
    load_s: float | None
    """How long an earlier load took."""


class Placer:
    """What there is, and how models fit into it."""

    def __init__(
        self, estimator: Estimator, memory_budget: MemoryBudget, max_concurrent_models: int, gpus: Gpus
    ) -> None:
        """`gpus`: those that workers may use, in torch's order; not probed yet."""
        self._estimator = estimator
        self._memory_budget = memory_budget
        self._max_concurrent_models = max_concurrent_models
        self._gpus = gpus
        self._is_probed = asyncio.Event()
        self.budget: Need = self._budget()
        """All that models may take; without accelerators until `probe` has found them."""

    async def probe(self) -> None:
        """Find the accelerators. Models are placed after it."""
        try:
            await self._gpus.probe()
            self.budget = self._budget()
        finally:
            self._is_probed.set()

    async def available(self) -> Need:
        """What can be had of each memory now, whoever has the rest: models, or other programs."""
        gpus = await self._gpus.free_bytes()
        return {HOST: host_memory.available_bytes(), **{f"cuda:{index}": free for index, free in enumerate(gpus)}}

    async def place(self, spec: ModelSpec, held: Need) -> Placing:
        """The options for a model: accelerators that can hold it when no other model does, else several of them that
        can together, else the host. Those are passed over that other programs have filled, as long as there are others.
        Never raises: a model that nothing could be found out about may try its luck in the place that it takes.

        `held`: what models hold already.
        """
        await self._is_probed.wait()
        try:
            return await self._place(spec, held)
        except Exception:
            logger.exception("estimate_broken model=%s", spec.id)
            return Placing([Option(spec.device, {PLACES: 1})], NO_FOOTPRINT, None)

    async def _place(self, spec: ModelSpec, held: Need) -> Placing:
        gpus = [resource for resource in self.budget if resource.startswith("cuda:")] if _torch_may_use_gpus() else []
        wanted = spec.device
        if wanted in ("auto", "cuda") and gpus:
            estimate = await self._estimator.estimate(spec, gpus[0])
            options = [self._option(device, estimate.footprint) for device in gpus]
            within_reach = minimum(self.budget, plus(await self.available(), held))
            for rooms in (within_reach, self.budget):
                roomy = [option for option in options if option.need[option.device] <= rooms[option.device]]
                if roomy := roomy or _spread({device: rooms[device] for device in gpus}, estimate.footprint):
                    return Placing(roomy, estimate.footprint, estimate.load_s)
            if wanted == "cuda":
                return Placing(options, estimate.footprint, estimate.load_s)
        device = wanted if wanted.startswith("cuda") else "cpu"
        estimate = await self._estimator.estimate(spec, device)
        named = split(device)
        if len(named) > 1 and set(named) <= set(gpus):
            spread = _spread({device: self.budget[device] for device in named}, estimate.footprint, least=len(named))
            return Placing(
                spread or [_option_of(even_need(estimate.footprint, named), estimate.footprint)],
                estimate.footprint,
                estimate.load_s,
            )
        return Placing([self._option(device, estimate.footprint)], estimate.footprint, estimate.load_s)

    def _budget(self) -> Need:
        gpus = {
            f"cuda:{index}": self._memory_budget.of(gpu.memory_total_bytes)
            for index, gpu in enumerate(self._gpus.visible)
        }
        return {HOST: self._memory_budget.of(host_memory.total_bytes()), **gpus, PLACES: self._max_concurrent_models}

    def _option(self, device: str, footprint: Footprint) -> Option:
        need = _need(device, footprint.device_bytes, footprint.process_bytes)
        if device != "cpu" and device not in self.budget:
            # Such a device is not there, which the worker says best.
            need = {PLACES: 1}
        if footprint.basis is FootprintBasis.SIZE:
            # A guess may be wrong, so it never says that a model cannot fit.
            need = {resource: min(amount, self.budget[resource]) for resource, amount in need.items()}
        return Option(device, need)


def placed(spec: ModelSpec, option: Option, footprint: Footprint) -> ModelSpec:
    """The model as its worker is to load it."""
    return msgspec.structs.replace(spec, device=option.device, kv_cache_bytes=footprint.kv_cache_bytes or None)


def measured_need(footprint: Footprint, facts: ModelFacts) -> Need | None:
    """What a loaded model takes, and what it may still grow by; `None` where nothing was measured."""
    if not facts.host_bytes:
        return None
    if len(split(facts.device)) > 1:
        return _with_process(measured_spread(footprint, facts.bytes_by_device), facts.host_bytes)
    still_to_come = footprint.kv_cache_bytes + footprint.workspace_bytes
    return _need(facts.device, facts.device_bytes + still_to_come, facts.host_bytes)


def _spread(rooms: Mapping[str, int], footprint: Footprint, least: int = 2) -> list[Option]:
    """At most one option."""
    need = spread_need(footprint, rooms, least)
    return [] if need is None else [_option_of(need, footprint)]


def _need(device: str, device_bytes: int, host_bytes: int) -> Need:
    if device == "cpu":
        return {HOST: device_bytes + host_bytes, PLACES: 1}
    return _with_process({device: device_bytes}, host_bytes)


def _option_of(need: Need, footprint: Footprint) -> Option:
    """On several accelerators."""
    return Option(joined(list(need)), _with_process(need, footprint.process_bytes))


def _with_process(need: Need, host_bytes: int) -> Need:
    """Memory of accelerators, and what the worker takes besides."""
    return {**need, HOST: host_bytes, PLACES: 1}


def _torch_may_use_gpus() -> bool:
    try:
        return not importlib.metadata.version("torch").endswith("+cpu")
    except importlib.metadata.PackageNotFoundError:
        return False
