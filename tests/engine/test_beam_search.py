"""The rules of beam search, on numbers made up for them."""

import pytest

from hostler.engine.beams.search import BeamSearch, Candidate, Hypothesis
from hostler.types import EarlyStopping, FinishReason

STOP, LENGTH = FinishReason.STOP, FinishReason.LENGTH


def make_search(
    num_beams: int = 2, length_penalty: float = 1.0, early_stopping: EarlyStopping = False, num_end_tokens: int = 1
) -> BeamSearch:
    return BeamSearch(
        num_beams=num_beams,
        length_penalty=length_penalty,
        early_stopping=early_stopping,
        max_tokens=10,
        num_end_tokens=num_end_tokens,
    )


def running(search: BeamSearch) -> list[tuple[list[int], float]]:
    return [(beam.token_ids, beam.score) for beam in search.running]


def test_the_best_that_go_on_are_the_next_beams() -> None:
    search = make_search()
    search.advance([Candidate(0, 5, -1.0), Candidate(0, 6, -2.0), Candidate(0, 7, -3.0)], [None] * 3)
    assert running(search) == [([5], -1.0), ([6], -2.0)]
    search.advance([Candidate(1, 8, -2.5), Candidate(0, 8, -2.6), Candidate(1, 9, -9.0)], [None] * 3)
    assert running(search) == [([6, 8], -2.5), ([5, 8], -2.6)]
    assert search.parents == [1, 0]


def test_where_the_best_end_the_next_ones_go_on() -> None:
    search = make_search()
    is_over = search.advance([Candidate(0, t, -float(t)) for t in (1, 2, 3, 4)], [STOP, None, None, None])
    assert not is_over
    assert running(search) == [([2], -2.0), ([3], -3.0)]
    assert search.best(1) == [Hypothesis([1], -1.0, STOP)]


def test_an_end_that_is_not_among_the_best_is_no_answer() -> None:
    search = make_search()
    search.advance([Candidate(0, t, -float(t)) for t in (1, 2, 3)], [None, None, STOP])
    assert search.best(2) == []


@pytest.mark.parametrize(("num_end_tokens", "expected"), [(0, 6), (1, 6), (2, 9), (5, 18)])
def test_there_are_candidates_enough_if_every_beam_ends_in_every_way(num_end_tokens: int, expected: int) -> None:
    assert make_search(num_beams=3, num_end_tokens=num_end_tokens).num_candidates == expected


@pytest.mark.parametrize(("length_penalty", "first"), [(0.0, [1]), (1.0, [2, 3, 1])])
def test_the_length_penalty_says_how_answers_of_different_length_compare(
    length_penalty: float, first: list[int]
) -> None:
    search = make_search(length_penalty=length_penalty, early_stopping=True)
    search.advance([Candidate(0, 1, -2.0), Candidate(0, 2, -2.1)], [STOP, None])
    search.advance([Candidate(0, 3, -2.2)], [None])
    assert search.advance([Candidate(0, 1, -2.4)], [STOP])
    assert search.best(2)[0].token_ids == first


@pytest.mark.parametrize(("early_stopping", "is_over"), [(True, True), (False, False), ("never", False)])
def test_as_many_answers_as_beams_are_enough_only_for_early_stopping(
    early_stopping: EarlyStopping, is_over: bool
) -> None:
    search = make_search(early_stopping=early_stopping)
    ends = [STOP, STOP, None, None]
    assert (
        search.advance([Candidate(0, t, s) for t, s in ((1, -1.0), (2, -4.0), (3, -3.9), (4, -4.0))], ends) is is_over
    )


@pytest.mark.parametrize(("early_stopping", "is_over"), [(False, True), ("never", False)])
def test_never_takes_into_account_how_long_an_answer_may_become(early_stopping: EarlyStopping, is_over: bool) -> None:
    # -3 over the one token of now is worse than -2, over the ten tokens of the longest answer it is better.
    search = make_search(early_stopping=early_stopping)
    ends = [STOP, STOP, None, None]
    assert (
        search.advance([Candidate(0, t, s) for t, s in ((1, -1.0), (2, -2.0), (3, -3.0), (4, -4.0))], ends) is is_over
    )


def test_the_search_is_over_when_nothing_can_go_on() -> None:
    search = make_search()
    assert search.advance([Candidate(0, 1, -1.0)], [LENGTH])
    assert search.best(2) == [Hypothesis([1], -1.0, LENGTH)] * 2, "one answer for two that were asked for"


def test_a_worse_answer_gives_way_to_a_better_one() -> None:
    search = make_search(length_penalty=0.0)
    search.advance([Candidate(0, 1, -1.0), Candidate(0, 2, -3.0), Candidate(0, 3, -1.1)], [STOP, STOP, None])
    assert search.advance([Candidate(0, 4, -1.2)], [STOP])
    assert [answer.token_ids for answer in search.best(2)] == [[1], [3, 4]]
