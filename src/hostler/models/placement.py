"""Where a model runs and in which number format."""

import re
from collections.abc import Mapping

import torch

from hostler.errors import ModelLoadError

_NATIVE_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")
"""Of `torch.cpu.get_capabilities()`: the first two on x86, the others on ARM."""


def choose_devices(wanted: str) -> list[torch.device]:
    """`auto`: the GPU with the most free memory, else the CPU; `cuda`: that GPU or an error; `cuda:N`; `cpu`.

    Several, for one model to be spread over, only where they are named: `cuda:0,cuda:1`.

    Raises:
        ModelLoadError: there is no such device.
    """
    return [_choose_device(name.strip()) for name in wanted.split(",")]


def free_bytes(device: torch.device) -> int:
    """Of a GPU's memory, what nobody holds: asked through NVML, since torch's own question would open a context of
    hundreds of megabytes there."""
    return int(torch.cuda.get_device_properties(device).total_memory - torch.cuda.device_memory_used(device))


def _choose_device(wanted: str) -> torch.device:
    num_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "cpu" or (wanted == "auto" and num_gpus == 0):
        return torch.device("cpu")
    if wanted in ("auto", "cuda"):
        if num_gpus == 0:
            raise ModelLoadError("device cuda was asked for, but no usable GPU is there; set device: auto or cpu")
        return torch.device("cuda", _roomiest_gpu(num_gpus))
    match = re.fullmatch(r"cuda:(\d+)", wanted)
    if match is None:
        raise ModelLoadError(f"device {wanted!r} is not known; use auto, cpu, cuda or cuda:N")
    if int(match[1]) >= num_gpus:
        raise ModelLoadError(f"device {wanted} was asked for, but this machine has {num_gpus} usable GPUs")
    return torch.device("cuda", int(match[1]))


def choose_dtype(wanted: str, device: torch.device, *, is_pooling: bool = False) -> torch.dtype:
    """`auto`: bfloat16 where it is computed natively, else float16 on a GPU and float32 on a CPU.

    `is_pooling`: one that reads whole texts, which on a CPU is always kept in float32. Two vectors are told apart by
    differences that are small beside bfloat16's steps, and others may have stored some that float32 made.
    """
    if wanted != "auto":
        return getattr(torch, wanted)
    if is_pooling and device.type == "cpu":
        return torch.float32
    if device.type == "cuda":
        major, _ = torch.cuda.get_device_capability(device)
        return torch.bfloat16 if major >= 8 else torch.float16
    return torch.bfloat16 if _cpu_computes_bfloat16() else torch.float32


def _roomiest_gpu(num_gpus: int) -> int:
    return 0 if num_gpus == 1 else max(range(num_gpus), key=lambda gpu: free_bytes(torch.device("cuda", gpu)))


def _cpu_computes_bfloat16() -> bool:
    # Older torch cannot tell; float32 is right everywhere.
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) for name in _NATIVE_BFLOAT16)
