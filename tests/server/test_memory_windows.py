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
    st.tuples(
        st.integers(0, 150), st.sampled_from(["one", "another"]), st.sampled_from([7, WINDOW_S]), st.integers(1, 6)
    ),
    min_size=1,
    max_size=30,
)
"""Seconds since the one before, who, in windows of how many seconds, and how much."""


@given(questions)
async def test_they_let_in_and_count_as_the_library_does(asked: Sequence[tuple[int, str, int, int]]) -> None:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        for module in ("limits.aio.storage.memory", "hostler.server.memory_windows"):
            patch.setattr(f"{module}.time", clock)
        ours, theirs = MemoryWindows(), MemoryStorage()
        for pause_s, who, window_s, amount in asked:
            clock.now += pause_s
            is_taken, standing = ours.take(who, 10, window_s, amount)
            # The library keeps windows of two lengths apart only under two names.
            name = f"{who}/{window_s}"
            assert is_taken is await theirs.acquire_sliding_window_entry(name, 10, window_s, amount)
            assert standing == pytest.approx(await theirs.get_sliding_window(name, window_s))


def test_whoever_has_not_come_for_two_windows_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("hostler.server.memory_windows.time", clock)
    windows = MemoryWindows()
    for number in range(100):
        windows.take(f"caller {number}", 10, WINDOW_S)
    assert len(windows) == 100
    clock.now += 2 * WINDOW_S
    windows.take("the next one", 10, WINDOW_S)
    assert len(windows) == 1


def test_short_windows_of_one_do_not_make_the_long_ones_of_another_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr("hostler.server.memory_windows.time", clock)
    windows = MemoryWindows()
    assert windows.take("one", 10, WINDOW_S, 10)[0]
    for _ in range(5):
        clock.now += 7
        windows.take("another", 10, 7)
    assert not windows.take("one", 10, WINDOW_S)[0]
    assert len(windows) == 2
