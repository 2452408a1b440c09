"""The accelerators of this machine, as NVML tells them: the gateway has no torch to ask."""

import asyncio
import logging
import os
from dataclasses import dataclass

ANSWER_TIMEOUT_S = 2.0
"""For a driver that is awake."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gpu:
    name: str
    uuid: str
    memory_total_bytes: int
    memory_free_bytes: int
    """What no process had taken when it was asked."""


class Gpus:
    """The GPUs that workers may use, in the order in which torch numbers them."""

    def __init__(self) -> None:
        self.visible: list[Gpu] = []
        self._asking: asyncio.Future[list[Gpu]] | None = None
        """What was asked last, of a driver that may never answer: it is not asked again before it has."""

    async def probe(self) -> None:
        """Find them, off the event loop: the driver may take seconds to wake up."""
        self.visible = select_visible(await asyncio.to_thread(ask_nvml), os.environ.get("CUDA_VISIBLE_DEVICES"))

    async def free_bytes(self) -> list[int]:
        """Of each of `visible`, what no process has taken now; of one that does not answer any more, what it had."""
        if not self.visible:
            return []
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(asyncio.to_thread(ask_nvml))
        answered, _ = await asyncio.wait({self._asking}, timeout=ANSWER_TIMEOUT_S)
        now = {gpu.uuid: gpu.memory_free_bytes for asking in answered for gpu in asking.result()}
        return [now.get(gpu.uuid, gpu.memory_free_bytes) for gpu in self.visible]


def select_visible(gpus: list[Gpu], cuda_visible_devices: str | None) -> list[Gpu]:
    """What `CUDA_VISIBLE_DEVICES` leaves: indices or beginnings of UUIDs, up to the first that names no GPU."""
    if cuda_visible_devices is None:
        return gpus
    selected = []
    for part in (part.strip() for part in cuda_visible_devices.split(",")):
        named = [
            gpu
            for index, gpu in enumerate(gpus)
            if part == str(index) or (part.startswith("GPU-") and gpu.uuid.startswith(part))
        ]
        if len(named) != 1:
            break
        selected += named
    return selected


def ask_nvml() -> list[Gpu]:
    try:
        import pynvml
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        memories = [pynvml.nvmlDeviceGetMemoryInfo(handle) for handle in handles]
        return [
            Gpu(
                name=str(pynvml.nvmlDeviceGetName(handle)),
                uuid=str(pynvml.nvmlDeviceGetUUID(handle)),
                memory_total_bytes=int(memory.total),
                memory_free_bytes=int(memory.free),
            )
            for handle, memory in zip(handles, memories, strict=True)
        ]
    except pynvml.NVMLError as exc:
        logger.warning("nvml_silent error=%s", exc)
        return []
    finally:
        pynvml.nvmlShutdown()
