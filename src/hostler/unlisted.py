"""Models that the registry does not name and a request did: repositories of the hub, where that is allowed."""

import asyncio
import copy
import logging
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hostler.config import Settings
from hostler.lifecycle.manager import ModelManager
from hostler.registry import ModelEntry, Registry, free_id
from hostler.types import ModelState

logger = logging.getLogger(__name__)

LookUp = Callable[[str], ModelEntry]
"""Repository → its entry; blocks. Raises `ModelNotFoundError` where the hub has no such model, and what else may be."""

MAX_UNLISTED = 1000
"""So many are remembered; the least recently named that are not in memory are forgotten."""
_MAX_LOOK_UPS = 4
"""At a time. The others wait: a flood of names becomes no flood of questions to the hub."""


class UnlistedModels:
    """What requests have named so far. It is registered for as long as the server runs, through reloads."""

    def __init__(self, manager: ModelManager, look_up: LookUp, max_models: int = MAX_UNLISTED) -> None:
        self._manager = manager
        self._look_up = look_up
        self._max_models = max_models
        self._entries: OrderedDict[str, ModelEntry] = OrderedDict()
        """By id, the least recently named first."""
        self._known_as: dict[str, str] = {}
        """Name that a request used, in lower case → the name that the hub has the repository under, where the two
        differ and that one is registered."""
        self._running: dict[str, asyncio.Task[str]] = {}
        """By name, in lower case: look-ups under way."""
        self._slots = asyncio.Semaphore(_MAX_LOOK_UPS)

    def joined_to(self, listed: Registry, settings: Settings) -> Registry:
        """The listed models, and those of the unlisted that none of them stands for now."""
        if not settings.allow_unlisted:
            return listed
        unlisted = {
            model_id: entry.spec(model_id, settings, Path())
            for model_id, entry in self._entries.items()
            if model_id not in listed and not listed.answers_to(entry.name)
        }
        return Registry({**listed, **unlisted})

    def keep_only(self, registry: Registry) -> None:
        """Forget those that are not in it."""
        for model_id in [model_id for model_id in self._entries if model_id not in registry]:
            del self._entries[model_id]

    def touch(self, model_id: str) -> None:
        """It was named; harmless for a listed model."""
        if model_id in self._entries:
            self._entries.move_to_end(model_id)

    async def add(self, name: str, registry: Callable[[], Registry]) -> str:
        """Ask the hub for the repository and register it with the manager; the name that the hub has it under.

        Callers of one name share one look-up.
        `registry`: makes the registry to serve, with what has been added. Raises what the look-up raises.
        """
        key = name.casefold()
        if (known_as := self._known_as.get(key)) is not None and self._manager.registry.answers_to(known_as):
            return known_as
        if (task := self._running.get(key)) is None:
            task = self._running[key] = asyncio.create_task(self._add(name, registry), name=f"look up {name}")
            task.add_done_callback(lambda done: self._forget_task(key, done))
        try:
            # A caller may leave; the others, and the next one, still want the answer.
            return await asyncio.shield(task)
        except Exception as exc:
            raise copy.copy(exc) from exc

    async def _add(self, name: str, registry: Callable[[], Registry]) -> str:
        async with self._slots:
            entry = await asyncio.to_thread(self._look_up, name)
        # Nothing is awaited from here on, so what is found out holds until it is done.
        if entry.name.casefold() != name.casefold():
            self._known_as[name.casefold()] = entry.name
            self._forget_surplus_names()
        if self._manager.registry.answers_to(entry.name):
            return entry.name
        model_id = free_id(entry.name, self._manager.registry)
        self._entries[model_id] = entry
        self._forget_surplus()
        self._manager.replace_registry(registry())
        logger.info("unlisted_model_added model=%s name=%s num_unlisted=%d", model_id, entry.name, len(self._entries))
        return entry.name

    def _forget_surplus(self) -> None:
        newest = next(reversed(self._entries))
        for model_id in list(self._entries):
            if len(self._entries) <= self._max_models:
                return
            if model_id != newest and self._is_at_rest(model_id):
                del self._entries[model_id]

    def _forget_surplus_names(self) -> None:
        for name in list(self._known_as)[: -self._max_models]:
            del self._known_as[name]

    def _is_at_rest(self, model_id: str) -> bool:
        status = self._manager.status(model_id)
        return status.state in (ModelState.UNLOADED, ModelState.FAILED) and not status.num_waiting

    def _forget_task(self, key: str, task: asyncio.Task[str]) -> None:
        del self._running[key]
        with suppress(asyncio.CancelledError):
            task.exception()  # so that one nobody waited for is not reported as lost
