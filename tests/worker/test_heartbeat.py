"""When the engine last got on."""

from hostler.worker.heartbeat import Heartbeat


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_who_has_nothing_to_do_does_not_hang() -> None:
    clock = Clock()
    heartbeat = Heartbeat(clock)
    clock.now += 1000
    assert heartbeat.seconds_since() == 0


def test_the_time_runs_from_the_last_beat_until_there_is_nothing_to_do() -> None:
    clock = Clock()
    heartbeat = Heartbeat(clock)
    heartbeat.beat()
    clock.now += 3
    assert heartbeat.seconds_since() == 3
    heartbeat.beat()
    clock.now += 2
    assert heartbeat.seconds_since() == 2
    heartbeat.rest()
    assert heartbeat.seconds_since() == 0
