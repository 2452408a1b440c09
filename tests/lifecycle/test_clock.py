"""The machine's clock."""

import asyncio

from hostler.lifecycle.clock import SystemClock


async def test_a_call_comes_once_its_time_has() -> None:
    clock = SystemClock()
    called = asyncio.Event()
    due = clock.now() + 0.01
    clock.call_at(due, called.set)
    await called.wait()
    assert clock.now() >= due - 0.002, "loops round to their resolution"


async def test_a_cancelled_call_never_comes() -> None:
    clock = SystemClock()
    calls: list[str] = []
    clock.call_at(clock.now(), lambda: calls.append("cancelled")).cancel()
    last = asyncio.Event()
    clock.call_at(clock.now(), last.set)
    await last.wait()
    assert calls == []


def test_people_are_told_the_time_of_the_day() -> None:
    assert SystemClock().unix_time() > 1_700_000_000
