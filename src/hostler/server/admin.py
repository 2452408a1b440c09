"""Routes that change the server."""

import asyncio

from fastapi import APIRouter

from hostler.protocol.native_answers import FreedMemoryAnswer, ReloadAnswer, UnloadAllAnswer
from hostler.server.models import Forced, unload_body
from hostler.server.services import ServicesDep

router = APIRouter(tags=["administration"])


@router.post("/admin/reload-config")
async def reload_config(services: ServicesDep) -> ReloadAnswer:
    """Read the registry's file again. If it cannot be used, nothing changes and the answer says where and why."""
    registry = await asyncio.to_thread(services.reload_registry)
    change = services.manager.replace_registry(registry)
    return ReloadAnswer(
        message=f"Configuration reloaded: {len(change.added)} added, {len(change.removed)} removed,"
        f" {len(change.changed)} changed, {len(change.unchanged)} as before",
        added=list(change.added),
        removed=list(change.removed),
        changed=list(change.changed),
        unchanged=list(change.unchanged),
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
