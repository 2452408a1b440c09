"""Routes that change the server."""

import logging
from typing import Annotated

from fastapi import APIRouter, Depends

from hostler.keys import Scope
from hostler.logs import log_level, set_log_level
from hostler.protocol.native import LogLevelRequest
from hostler.protocol.native_answers import FreedMemoryAnswer, LogLevelAnswer, ReloadAnswer, UnloadAllAnswer
from hostler.server.auth import needs
from hostler.server.json_body import JsonBody
from hostler.server.models import Forced, unload_body
from hostler.server.openapi import body_of
from hostler.server.services import ServicesDep

logger = logging.getLogger(__name__)

router = APIRouter(tags=["administration"], dependencies=[needs(Scope.ADMIN)])
_log_level_body = JsonBody(LogLevelRequest)


@router.post("/admin/reload-config")
async def reload_config(services: ServicesDep, dry_run: bool = False) -> ReloadAnswer:
    """Read the registry's file again, and that of the keys. If one cannot be used, what came from it stays as it was,
    and the answer says where and why.

    With `dry_run`, nothing changes either, and the answer says what would.
    """
    reload = await services.reloader.reload(dry_run=dry_run)
    if not dry_run:
        await services.gate.keyring.reload()
    change = reload.change
    done = "would change" if dry_run else "reloaded"
    restart = f"; takes effect after a restart: {', '.join(reload.restart_needed)}" if reload.restart_needed else ""
    return ReloadAnswer(
        message=f"Configuration {done}: {reload.summary()}{restart}",
        dry_run=dry_run,
        added=list(change.added),
        removed=list(change.removed),
        changed=list(change.changed),
        updated=list(change.updated),
        unchanged=list(change.unchanged),
        differences={model_id: list(keys) for model_id, keys in reload.differences.items()},
        restart_needed=list(reload.restart_needed),
    )


@router.post("/admin/log-level", openapi_extra=body_of(LogLevelRequest))
async def change_log_level(
    services: ServicesDep, body: Annotated[LogLevelRequest, Depends(_log_level_body)]
) -> LogLevelAnswer:
    """Log more or less from now on, in the gateway and in every worker, until the next start."""
    previous = log_level()
    set_log_level(body.level)
    services.manager.set_log_level(body.level)
    logger.warning("log_level_changed to=%s from=%s", body.level, previous)
    return LogLevelAnswer(message=f"The log level is {body.level}", level=body.level, previous=previous)


@router.post("/admin/clear-gpu-memory")
async def clear_gpu_memory(services: ServicesDep) -> FreedMemoryAnswer:
    """Return cached device memory of every loaded model to the system."""
    freed_mb = round(await services.manager.workers.free_cached_memory() / 2**20, 2)
    return FreedMemoryAnswer(message=f"Freed {freed_mb} MB of cached device memory", freed_mb=freed_mb)


@router.post("/admin/unload-all", openapi_extra=unload_body)
async def unload_all(services: ServicesDep, force: Forced) -> UnloadAllAnswer:
    """Unload every model once its running requests are done, or at once with `force`."""
    unloaded = await services.manager.unload_all(force=force)
    return UnloadAllAnswer(
        message=f"Unloaded {len(unloaded)} model{'' if len(unloaded) == 1 else 's'}", unloaded_models=unloaded
    )
