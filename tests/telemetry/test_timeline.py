"""What is told of when the tokens of a generation came."""

import pytest

from hostler.telemetry.timeline import GAP_BUCKETS_S, Timeline
from hostler.types import FinishReason, TokenDelta


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("hostler.telemetry.timeline.time.perf_counter", clock)
    return clock


def note(timeline: Timeline, clock: Clock, at: float, *token_ids: int, index: int = 0, prompt_index: int = 0) -> None:
    clock.now = 100.0 + at
    timeline.note(prompt_index, [TokenDelta(index=index, token_ids=list(token_ids))])


def gaps(timeline: Timeline) -> dict[float, int]:
    """Upper bound → how many, where there are any."""
    bounds = [*GAP_BUCKETS_S, float("inf")]
    return {bound: count for bound, count in zip(bounds, timeline.gap_counts, strict=True) if count}


def test_the_first_token_is_timed_from_the_request_and_the_wait_for_the_model_apart(clock: Clock) -> None:
    timeline = Timeline()
    clock.now += 2.0
    timeline.note_lease()
    note(timeline, clock, 2.5, 1)
    assert (timeline.wait_s, timeline.ttft_s) == (2.0, 2.5)


def test_what_never_came_has_no_time() -> None:
    timeline = Timeline()
    timeline.note(0, [TokenDelta(finish_reason=FinishReason.LENGTH)])
    assert (timeline.wait_s, timeline.ttft_s, timeline.tokens_per_second) == (None, None, None)


def test_a_wait_in_the_engine_is_that_of_the_sequence_that_waited_longest() -> None:
    timeline = Timeline()
    assert timeline.queue_s is None
    timeline.note(0, [TokenDelta(token_ids=[1], queued_s=0.0), TokenDelta(index=1, token_ids=[1], queued_s=0.5)])
    timeline.note(1, [TokenDelta(token_ids=[1], queued_s=0.25), TokenDelta(token_ids=[1])])
    assert timeline.queue_s == 0.5
    assert timeline.queue_waits_s == [0.0, 0.5, 0.25]


def test_it_begins_with_the_first_step_and_no_later_than_its_first_token(clock: Clock) -> None:
    timeline = Timeline()
    clock.now = 101.0
    timeline.note_admission()
    assert timeline.begun_at is None
    clock.now = 103.0
    timeline.note(0, [TokenDelta(token_ids=[1], queued_s=1.5), TokenDelta(index=1, token_ids=[1], queued_s=0.5)])
    assert timeline.begun_at == 101.5
    timeline.queue_waits_s = [2.5]
    assert timeline.begun_at == 103.0


def test_a_gap_is_between_two_tokens_of_the_same_sequence(clock: Clock) -> None:
    timeline = Timeline()
    note(timeline, clock, 0.0, 1, index=0)
    note(timeline, clock, 0.09, 1, index=1)
    note(timeline, clock, 0.09, 1, prompt_index=1)
    note(timeline, clock, 0.1, 2, index=0)
    note(timeline, clock, 6.0, 2, index=1)
    assert gaps(timeline) == {0.1: 1, float("inf"): 1}
    assert timeline.gap_seconds == pytest.approx(0.1 + 5.91)


def test_tokens_that_came_together_share_their_gap(clock: Clock) -> None:
    timeline = Timeline()
    note(timeline, clock, 0.0, 1)
    note(timeline, clock, 0.12, 2, 3, 4)
    assert gaps(timeline) == {0.05: 3}


def test_the_first_piece_does_not_count_towards_the_speed(clock: Clock) -> None:
    timeline = Timeline()
    note(timeline, clock, 1.0, 1, 2, 3)
    assert timeline.tokens_per_second is None
    note(timeline, clock, 1.5, 4)
    assert timeline.tokens_per_second == 2.0
