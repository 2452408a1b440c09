"""Counts in memory are those that the library `limits` would have."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits.aio.storage import MemoryStorage

from hostler.server.memory_windows import MemoryWindows

WINDOW_S = 60
BEGIN = 1_000_000.0 * WINDOW_S


class Clock:
    """In place of the module `time`, here and in the library."""

    def __init__(self) -> None:
        self.now = BEGIN

    def time(self) -> float:
        return self.now


questions = st.lists(
    st.tuples(st.floats(0, 150), st.sampled_from(["one", "another"]), st.integers(1, 6)), min_size=1, max_size=30
)
"""Seconds since the one before, who, and how much."""


@given(questions)
async def test_they_let_in_and_count_as_the_library_does(asked: Sequence[tuple[float, str, int]]) -> None:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        for module in ("limits.aio.storage.memory", "hostler.server.memory_windows"):
            patch.setattr(f"{module}.time", clock)
        ours, theirs = MemoryWindows(), MemoryStorage()
        for pause_s, who, amount in asked:
            # To the second, as their expiry is.
            clock.now += int(pause_s)
            taken = [await each.acquire_sliding_window_entry(who, 10, WINDOW_S, amount) for each in (ours, theirs)]
            assert taken[0] is taken[1]
            counts = [await each.get_sliding_window(who, WINDOW_S) for each in (ours, theirs)]
            assert counts[0] == pytest.approx(counts[1])


async def test_whoever_has_not_come_for_two_windows_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("hostler.server.memory_windows.time", clock)
    windows = MemoryWindows()
    for number in range(100):
        await windows.acquire_sliding_window_entry(f"caller {number}", 10, WINDOW_S)
    assert len(windows) == 100
    clock.now += 2 * WINDOW_S
    await windows.acquire_sliding_window_entry("the next one", 10, WINDOW_S)
    assert len(windows) == 1
