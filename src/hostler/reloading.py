"""Takes up what has changed in the registry's file while the server runs."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from hostler.config import Settings, in_force, restart_needed
from hostler.errors import ConfigError, ModelNotFoundError
from hostler.lifecycle.manager import ModelManager
from hostler.lifecycle.status import RegistryChange
from hostler.registry import ModelSpec, Registry, is_hub_name
from hostler.unlisted import LookUp, UnlistedModels

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reload:
    """What a reload has changed, or would change."""

    change: RegistryChange
    differences: Mapping[str, tuple[str, ...]]
    """By id of each model that is changed or updated: which of its fields differ."""
    restart_needed: tuple[str, ...]
    """Settings that the file has otherwise than this server, which reads them only at its start."""

    def summary(self) -> str:
        """The numbers, in one line."""
        change = self.change
        return (
            f"{len(change.added)} added, {len(change.removed)} removed, {len(change.changed)} changed,"
            f" {len(change.updated)} updated, {len(change.unchanged)} as before"
        )


class Reloader:
    """The one place that replaces the manager's registry, so that no change undoes another. One event loop."""

    def __init__(
        self,
        manager: ModelManager,
        settings: Settings,
        read: Callable[[], tuple[Settings, Registry]],
        look_up: LookUp,
    ) -> None:
        """`read`: the configuration as it is now; blocks, and raises `ConfigError`. `look_up`: see `UnlistedModels`."""
        self._manager = manager
        self._started_with = settings
        self._settings = settings
        self._read = read
        self._listed = manager.registry
        self._unlisted = UnlistedModels(manager, look_up)
        self._reading = asyncio.Lock()

    async def reload(self, *, dry_run: bool = False) -> Reload:
        """Read the configuration again and serve its models from now on; one call after the other.

        `dry_run`: tell what would change, and change nothing.

        Raises:
            ConfigError: it cannot be used, and nothing has changed; says where and why.
        """
        async with self._reading:
            read, listed = await asyncio.to_thread(self._read)
            settings = in_force(self._started_with, read)
            before, after = self._manager.registry, self._unlisted.joined_to(listed, settings)
            change = self._manager.preview(after)
            if not dry_run:
                self._settings, self._listed = settings, listed
                self._unlisted.keep_only(after)
                self._manager.replace_registry(after)
            differing = (*change.changed, *change.updated)
            return Reload(
                change=change,
                differences={model_id: _differences(before[model_id], after[model_id]) for model_id in differing},
                restart_needed=restart_needed(self._started_with, read),
            )

    async def reload_and_log(self, reason: str) -> None:
        """The same where nobody waits for the answer; never raises. `reason`: for the log."""
        try:
            reload = await self.reload()
        except ConfigError as exc:
            logger.error("reload_refused reason=%s error=%r", reason, exc.message)  # noqa: TRY400
        except Exception:
            logger.exception("reload_failed reason=%s", reason)
        else:
            logger.info("reloaded reason=%s models=%r", reason, reload.summary())
            if reload.restart_needed:
                logger.warning("restart_needed settings=%s", ",".join(reload.restart_needed))

    async def find(self, name: str) -> ModelSpec:
        """The model of that id or Hugging Face name; where `allow_unlisted` is set, of the hub too.

        Raises:
            ModelNotFoundError: there is none.
            GatedModelError, ModelLoadError: the hub has it, or may have it, and does not say what it is.
        """
        try:
            spec = self._manager.registry.resolve(name)
        except ModelNotFoundError as exc:
            if "/" not in name or not is_hub_name(name):
                raise
            if not self._settings.allow_unlisted:
                raise ModelNotFoundError(
                    f"{exc.message}; allow_unlisted: true would let requests name any repository of the hub",
                    param="model",
                ) from exc
            known_as = await self._unlisted.add(name, lambda: self._unlisted.joined_to(self._listed, self._settings))
            spec = self._manager.registry.resolve(known_as)
        self._unlisted.touch(spec.id)
        return spec


def _differences(before: ModelSpec, after: ModelSpec) -> tuple[str, ...]:
    old, new = msgspec.structs.asdict(before), msgspec.structs.asdict(after)
    return tuple(key for key in new if new[key] != old[key])
