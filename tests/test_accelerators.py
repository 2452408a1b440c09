import asyncio
import threading
from dataclasses import replace

import pytest

from hostler import accelerators
from hostler.accelerators import Gpu, Gpus, select_visible

A, B, C = (Gpu(f"gpu {name}", f"GPU-{name}{name}", 2**30, 2**29) for name in "abc")


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        (None, [A, B, C]),
        ("", []),
        ("-1", []),
        ("0", [A]),
        ("2,0", [C, A]),
        ("1, 9, 0", [B]),
        ("GPU-cc,GPU-a", [C, A]),
        ("GPU-", []),
        ("all", []),
    ],
)
def test_the_variable_selects_and_orders_as_cuda_does(variable: str | None, expected: list[Gpu]) -> None:
    assert select_visible([A, B, C], variable) == expected


async def test_a_probe_without_a_driver_or_with_all_hidden_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    gpus = Gpus()
    await gpus.probe()
    assert gpus.visible == []
    assert await gpus.free_bytes() == []


async def test_what_is_free_is_asked_anew_and_told_in_torchs_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,0")
    monkeypatch.setattr(accelerators, "ask_nvml", lambda: [A, B, C])
    gpus = Gpus()
    await gpus.probe()
    monkeypatch.setattr(accelerators, "ask_nvml", lambda: [replace(A, memory_free_bytes=7), B])
    assert await gpus.free_bytes() == [2**29, 7], "the last that was heard of the one that is silent"


async def test_a_driver_that_hangs_is_asked_once_and_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(accelerators, "ask_nvml", lambda: [A])
    gpus = Gpus()
    await gpus.probe()
    begun, gets_on, asked = threading.Event(), threading.Event(), []

    def hang() -> list[Gpu]:
        asked.append(1)
        begun.set()
        gets_on.wait()
        return [replace(A, memory_free_bytes=7)]

    monkeypatch.setattr(accelerators, "ask_nvml", hang)
    monkeypatch.setattr(accelerators, "ANSWER_TIMEOUT_S", 0.01)
    try:
        assert await gpus.free_bytes() == [2**29]
        assert await asyncio.to_thread(begun.wait, 30)
        assert [await gpus.free_bytes() for _ in range(2)] == [[2**29]] * 2
        assert asked == [1]
    finally:
        gets_on.set()
    monkeypatch.setattr(accelerators, "ANSWER_TIMEOUT_S", 30)
    assert await gpus.free_bytes() == [7]
