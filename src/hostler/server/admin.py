"""Routes that change the server."""

from fastapi import APIRouter

from hostler.protocol.native_answers import FreedMemoryAnswer, ReloadAnswer, UnloadAllAnswer
from hostler.server.models import Forced, unload_body
from hostler.server.services import ServicesDep

router = APIRouter(tags=["administration"])


@router.post("/admin/reload-config")
async def reload_config(services: ServicesDep, dry_run: bool = False) -> ReloadAnswer:
    """Read the registry's file again. If it cannot be used, nothing changes and the answer says where and why.

    With `dry_run`, nothing changes either, and the answer says what would.
    """
    reload = await services.reloader.reload(dry_run=dry_run)
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


@router.post("/admin/clear-gpu-memory")
async def clear_gpu_memory(services: ServicesDep) -> FreedMemoryAnswer:
    """Return cached device memory of every loaded model to the system."""
    freed_mb = round(await services.manager.free_cached_memory() / 2**20, 2)
    return FreedMemoryAnswer(message=f"Freed {freed_mb} MB of cached device memory", freed_mb=freed_mb)


@router.post("/admin/unload-all", openapi_extra=unload_body)
async def unload_all(services: ServicesDep, force: Forced) -> UnloadAllAnswer:
    """Unload every model once its running requests are done, or at once with `force`."""
    unloaded = await services.manager.unload_all(force=force)
    return UnloadAllAnswer(
        message=f"Unloaded {len(unloaded)} model{'' if len(unloaded) == 1 else 's'}", unloaded_models=unloaded
    )
