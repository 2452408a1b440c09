from hypothesis import given
from hypothesis import strategies as st

from hostler.lifecycle.alarm import Alarm
from tests.fake_clock import FakeClock


async def test_it_rings_at_the_earliest_time_and_once() -> None:
    clock = FakeClock()
    rung: list[float] = []
    alarm = Alarm(clock, lambda: rung.append(clock.now()))
    begun = clock.now()
    for after_s in (30, 10, 20, None):
        alarm.set(None if after_s is None else begun + after_s)
    await clock.advance(100)
    assert rung == [begun + 10]


async def test_one_that_was_cancelled_rings_once_it_is_set_again() -> None:
    clock = FakeClock()
    rung: list[float] = []
    alarm = Alarm(clock, lambda: rung.append(clock.now()))
    begun = clock.now()
    alarm.set(begun + 10)
    alarm.cancel()
    alarm.cancel()
    await clock.advance(20)
    assert rung == []
    alarm.set(begun + 30)
    await clock.advance(20)
    assert rung == [begun + 30]


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 50)), max_size=30))
async def test_there_is_one_timer_and_no_time_is_missed(steps: list[tuple[int, int]]) -> None:
    """`steps`: seconds that pass, and in how many more the alarm is to ring."""
    clock = FakeClock()
    due: set[float] = set()

    def ring() -> None:
        due.difference_update([each for each in due if each <= clock.now()])
        alarm.set(min(due, default=None))

    alarm = Alarm(clock, ring)
    for passed_s, after_s in steps:
        await clock.advance(passed_s)
        assert not [each for each in due if each <= clock.now()]
        due.add(clock.now() + after_s)
        alarm.set(min(due))
        assert clock.num_timers <= 1
