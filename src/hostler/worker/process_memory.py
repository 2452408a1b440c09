"""What this process takes of the host's memory and of the accelerators'."""

import gc
from pathlib import Path

import psutil
import torch

from hostler.memory import DeviceMemory

_SMAPS = Path("/proc/self/smaps")
_WEIGHTS_SUFFIX = ".safetensors"


def host_bytes() -> int:
    """Memory that this process shares with no other; 0 where the platform cannot tell.

    Of weights that are mapped from their file, all is counted: what no step has read yet will be read.
    """
    try:
        return _unshared_bytes(_SMAPS.read_text(errors="replace"))
    except OSError:  # no Linux
        try:
            return int(psutil.Process().memory_full_info().uss)
        except (psutil.Error, AttributeError):
            return 0


def _unshared_bytes(smaps: str) -> int:
    """From a `/proc/<pid>/smaps`: for each mapping a line with its addresses and its file, then one for each size."""
    total_kib = 0
    is_weights = False
    for line in smaps.splitlines():
        name, _, rest = line.partition(" ")
        if not name.endswith(":"):
            is_weights = rest.endswith(_WEIGHTS_SUFFIX)
        elif name == "Size:" if is_weights else name.startswith("Private_"):
            total_kib += int(rest.split()[0])
    return total_kib * 1024


def bytes_by_device() -> dict[str, int]:
    """What torch's allocators hold on each accelerator in use; empty on a CPU."""
    return {f"cuda:{memory.device_id}": memory.reserved_bytes for memory in device_memory()}


def free_cached() -> int:
    """Give cached blocks of torch's allocators back to their devices; how many bytes."""
    gc.collect()
    before = sum(bytes_by_device().values())
    if before:
        torch.cuda.empty_cache()
    return before - sum(bytes_by_device().values())


def device_memory() -> list[DeviceMemory]:
    """Per accelerator in use; empty on a CPU."""
    if not torch.cuda.is_available():
        return []
    return [
        DeviceMemory(
            device_id=device,
            allocated_bytes=torch.cuda.memory_allocated(device),
            reserved_bytes=torch.cuda.memory_reserved(device),
        )
        for device in range(torch.cuda.device_count())
        if torch.cuda.memory_reserved(device)
    ]
