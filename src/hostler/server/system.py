"""Routes about the server itself. None of them loads a model or waits for one."""

import importlib.metadata
import platform
from collections import defaultdict

import psutil
from fastapi import APIRouter, Request, Response

from hostler import __version__
from hostler.errors import HostlerError
from hostler.keys import Scope
from hostler.memory import DeviceMemory
from hostler.protocol.native_answers import (
    AuthStatus,
    CudaDevice,
    Health,
    MemorySummary,
    ProbeAnswer,
    SystemReport,
    SystemSummary,
    Welcome,
)
from hostler.server.auth import needs
from hostler.server.model_rows import auth_status, loaded_among, only_bytes
from hostler.server.services import Services, ServicesDep, VisibleModels

router = APIRouter(tags=["system"], dependencies=[needs(Scope.READ)])


@router.get("/")
async def welcome() -> Welcome:
    """Where to go from here."""
    return Welcome(message="Hostler serves models over HTTP", version=__version__, docs="/docs", health="/health")


@router.get("/health")
async def health(request: Request, services: ServicesDep) -> Health:
    """Whether the server answers, what the caller may do, and to a key that may read what the server holds; to callers
    without a key that is needed, the first alone."""
    try:
        principal = services.gate.admit(request)
    except HostlerError:
        return Health(status="healthy")
    caller = Health(
        status="healthy",
        scopes=[scope.value for scope in Scope if principal.has(scope)],
        key_name=None if principal.key is None else principal.key.name,
    )
    if not principal.has(Scope.READ):
        return caller
    visible = {spec.id: spec for spec in services.manager.registry.values() if principal.may_use(spec)}
    current_model = services.manager.current_model
    return Health(
        **caller,
        loaded_models=loaded_among(services, visible.values()),
        current_model=current_model if current_model in visible else None,
        total_models_available=len(visible),
        system_info=SystemSummary(
            cuda_available=bool(services.manager.gpus.visible),
            memory_used_percent=psutil.virtual_memory().percent,
            cuda_devices=len(services.manager.gpus.visible),
        ),
        memory=MemorySummary(budget=only_bytes(services.manager.budget), free=only_bytes(services.manager.free)),
    )


@router.get("/health/live")
async def live() -> ProbeAnswer:
    """Whether the process answers."""
    return ProbeAnswer(status="alive")


@router.get(
    "/health/ready",
    responses={
        503: {"model": ProbeAnswer, "description": "Still starting, stopping, or with a model that makes no step"}
    },
)
async def ready(services: ServicesDep, response: Response) -> ProbeAnswer:
    """Whether the start is over, the load of the default model included, the end has not begun, and every model that
    has requests makes steps."""
    if services.drain.is_begun:
        response.status_code = 503
        return ProbeAnswer(status="stopping")
    if not services.is_ready:
        response.status_code = 503
        return ProbeAnswer(status="starting")
    if services.manager.stuck_ids():
        response.status_code = 503
        return ProbeAnswer(status="stuck")
    return ProbeAnswer(status="ready")


@router.get("/system")
async def system(services: ServicesDep) -> SystemReport:
    """The machine: Python, torch, processors, memory."""
    memory = psutil.virtual_memory()
    devices = _cuda_devices(services, await services.manager.workers.device_memory())
    return SystemReport(
        python_version=platform.python_version(),
        torch_version=_torch_version(),
        cuda_available=bool(devices),
        cuda_device_count=len(devices),
        current_device=0 if devices else None,
        cuda_devices=devices,
        cpu_count=psutil.cpu_count() or 1,
        memory_total_gb=round(memory.total / 2**30, 2),
        memory_available_gb=round(memory.available / 2**30, 2),
        memory_used_percent=memory.percent,
    )


@router.get("/auth/status")
async def show_auth_status(services: ServicesDep, visible: VisibleModels) -> AuthStatus:
    """Whether gated models can be had. Never any part of the token."""
    return await auth_status(services, visible)


def _torch_version() -> str | None:
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return None


def _cuda_devices(services: Services, by_model: dict[str, list[DeviceMemory]]) -> list[CudaDevice]:
    allocated: dict[int, int] = defaultdict(int)
    reserved: dict[int, int] = defaultdict(int)
    for devices in by_model.values():
        for device in devices:
            allocated[device.device_id] += device.allocated_bytes
            reserved[device.device_id] += device.reserved_bytes
    return [
        CudaDevice(
            id=device_id,
            name=gpu.name,
            memory_total_mb=round(gpu.memory_total_bytes / 2**20, 2),
            memory_allocated_mb=round(allocated[device_id] / 2**20, 2),
            memory_cached_mb=round(reserved[device_id] / 2**20, 2),
        )
        for device_id, gpu in enumerate(services.manager.gpus.visible)
    ]
