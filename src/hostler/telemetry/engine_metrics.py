"""Metrics of the engines and their processes, as of the last scrape."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import psutil
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hostler.engine_stats import EngineStats
from hostler.lifecycle.all_workers import AllWorkers


@dataclass(frozen=True)
class _Reading:
    """One metric of an engine."""

    name: str
    tells: str
    read: Callable[[EngineStats], float]
    is_sum: bool = False
    """Counted from the load on, so that it begins anew with each."""


_READINGS = (
    _Reading("hostler_engine_running_sequences", "Sequences that have begun", lambda stats: stats.num_running),
    _Reading("hostler_engine_waiting_sequences", "Sequences that have not", lambda stats: stats.num_waiting),
    _Reading(
        "hostler_engine_cache_capacity_tokens",
        "Tokens whose keys and values there is room for",
        lambda stats: stats.cache_capacity_tokens,
    ),
    _Reading(
        "hostler_engine_cache_used_tokens",
        "Of these, those of running sequences",
        lambda stats: stats.cache_used_tokens,
    ),
    _Reading(
        "hostler_engine_cache_kept_tokens",
        "Of these, those of ended sequences, which others may begin with",
        lambda stats: stats.cache_kept_tokens,
    ),
    _Reading("hostler_engine_steps", "Steps that were made", lambda stats: stats.num_steps, is_sum=True),
    _Reading(
        "hostler_engine_step_sequences",
        "Sequences that a step computed something of; by the steps, the size of their batches",
        lambda stats: stats.num_step_sequences,
        is_sum=True,
    ),
    _Reading(
        "hostler_engine_step_tokens",
        "Tokens that were computed, of prompts and answers",
        lambda stats: stats.num_step_tokens,
        is_sum=True,
    ),
    _Reading("hostler_engine_step_seconds", "Time that steps took", lambda stats: stats.step_seconds, is_sum=True),
    _Reading(
        "hostler_engine_preemptions",
        "Sequences that made way for others, to be computed again",
        lambda stats: stats.num_preempted,
        is_sum=True,
    ),
)


class EngineMetrics(Collector):
    """Tells what it was told last: a scrape asks the engines before it collects."""

    def __init__(self, workers: AllWorkers) -> None:
        self._workers = workers
        self._stats: dict[str, EngineStats] = {}
        self._memory_bytes: dict[str, int] = {}

    async def ask(self) -> None:
        """Have every engine say what it has done, and the system what its process holds."""
        self._stats = await self._workers.stats()
        # In a thread, since the kernel counts pages for some milliseconds.
        self._memory_bytes = await asyncio.to_thread(_unshared_bytes, self._workers.pids())

    def collect(self) -> Iterator[Metric]:
        for reading in _READINGS:
            family_class = CounterMetricFamily if reading.is_sum else GaugeMetricFamily
            family = family_class(reading.name, reading.tells, labels=["model"])
            for model_id, stats in self._stats.items():
                family.add_metric([model_id], reading.read(stats))
            yield family
        memory = GaugeMetricFamily(
            "hostler_worker_memory_bytes",
            "Memory of a model's process, what it shares with others left out",
            labels=["model"],
        )
        for model_id, num_bytes in self._memory_bytes.items():
            memory.add_metric([model_id], num_bytes)
        yield memory


def _unshared_bytes(pids: dict[str, int]) -> dict[str, int]:
    found = {}
    for model_id, pid in pids.items():
        with suppress(psutil.Error):  # it has just ended
            found[model_id] = psutil.Process(pid).memory_full_info().uss
    return found
