"""Questions to the workers of all loaded models at once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from hostler.engine_stats import EngineStats
from hostler.errors import ServiceError
from hostler.lifecycle.ports import Worker
from hostler.memory import DeviceMemory

logger = logging.getLogger(__name__)

STATS_TIMEOUT_S = 1.0
"""A worker answers at once; one that is held up in a library's code is left out, so that a scrape has the others."""

T = TypeVar("T")


class AllWorkers:
    """Whoever has ended meanwhile is left out of the answers."""

    def __init__(self, loaded: Callable[[], Mapping[str, Worker]]) -> None:
        """`loaded`: by model id, those of models that are ready."""
        self._loaded = loaded

    def pids(self) -> dict[str, int]:
        """Their processes, by model id."""
        return {model_id: worker.pid for model_id, worker in self._loaded().items()}

    async def free_cached_memory(self) -> int:
        """Have each return cached device memory; how many bytes that was in all."""
        return sum((await self._ask(lambda worker: worker.free_cached_memory())).values())

    async def device_memory(self) -> dict[str, list[DeviceMemory]]:
        """Accelerator memory, by model id."""
        return await self._ask(lambda worker: worker.device_memory())

    async def stats(self) -> dict[str, EngineStats]:
        """What their engines have done, by model id."""
        return await self._ask(lambda worker: asyncio.wait_for(worker.stats(), STATS_TIMEOUT_S))

    async def _ask(self, question: Callable[[Worker], Awaitable[T]]) -> dict[str, T]:
        async def ask(model_id: str, worker: Worker) -> None:
            try:
                answers[model_id] = await question(worker)
            except (ServiceError, TimeoutError):
                logger.debug("worker_without_answer model=%s", model_id)

        answers: dict[str, T] = {}
        async with asyncio.TaskGroup() as group:
            for model_id, worker in self._loaded().items():
                group.create_task(ask(model_id, worker))
        return answers
