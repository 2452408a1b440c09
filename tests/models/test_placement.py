"""Device and number format follow the machine, or the registry where it says so."""

from types import SimpleNamespace

import pytest
import torch

from hostler.errors import ModelLoadError
from hostler.models.placement import choose_devices, choose_dtype


def pretend_gpus(monkeypatch: pytest.MonkeyPatch, *free_bytes: int, capability: tuple[int, int] = (9, 0)) -> None:
    """A machine with as many GPUs, each of 1000 bytes with so many of them free."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(free_bytes))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(free_bytes))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=1000))
    monkeypatch.setattr(torch.cuda, "device_memory_used", lambda gpu: 1000 - free_bytes[gpu.index])
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)


@pytest.mark.parametrize(
    ("wanted", "free_bytes", "device"),
    [
        ("auto", (), "cpu"),
        ("auto", (10,), "cuda:0"),
        ("auto", (10, 30, 20), "cuda:1"),
        ("cuda", (10, 30), "cuda:1"),
        ("cuda:0", (10, 30), "cuda:0"),
        ("cpu", (10, 30), "cpu"),
        ("cuda:1, cuda:0", (10, 30), "cuda:1,cuda:0"),
    ],
)
def test_the_device_is_the_roomiest_of_those_allowed(
    monkeypatch: pytest.MonkeyPatch, wanted: str, free_bytes: tuple[int, ...], device: str
) -> None:
    pretend_gpus(monkeypatch, *free_bytes)
    assert ",".join(str(chosen) for chosen in choose_devices(wanted)) == device


@pytest.mark.parametrize(
    ("wanted", "message"),
    [("cuda:2", "cuda:2 was asked for, but this machine has 2"), ("tpu", "device 'tpu' is not known")],
)
def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, wanted: str, message: str) -> None:
    pretend_gpus(monkeypatch, 10, 30)
    with pytest.raises(ModelLoadError, match=message):
        choose_devices(wanted)


def test_cuda_without_a_gpu_is_refused_rather_than_run_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_gpus(monkeypatch)
    with pytest.raises(ModelLoadError, match="no usable GPU is there"):
        choose_devices("cuda")


@pytest.mark.parametrize(
    ("capability", "dtype"), [((9, 0), torch.bfloat16), ((8, 0), torch.bfloat16), ((7, 5), torch.float16)]
)
def test_a_gpu_computes_in_half_precision(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], dtype: torch.dtype
) -> None:
    pretend_gpus(monkeypatch, 10, capability=capability)
    assert choose_dtype("auto", torch.device("cuda", 0)) is dtype


@pytest.mark.parametrize(
    ("capabilities", "dtype"),
    [
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"avx2": True, "avx512_bf16": False}, torch.float32),
        ({"neon": True, "bf16": True}, torch.bfloat16),
    ],
)
def test_a_cpu_computes_in_bfloat16_only_where_it_has_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], dtype: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert choose_dtype("auto", torch.device("cpu")) is dtype


def test_the_registrys_number_format_wins() -> None:
    assert choose_dtype("float16", torch.device("cpu")) is torch.float16


def test_a_model_that_reads_is_kept_in_float32_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert choose_dtype("auto", torch.device("cpu"), is_pooling=True) is torch.float32
    assert choose_dtype("bfloat16", torch.device("cpu"), is_pooling=True) is torch.bfloat16
    pretend_gpus(monkeypatch, 10, capability=(8, 0))
    assert choose_dtype("auto", torch.device("cuda", 0), is_pooling=True) is torch.bfloat16
