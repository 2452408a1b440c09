"""Promises of memory."""

from hypothesis import given
from hypothesis import strategies as st

from hostler.lifecycle.ledger import HOST, PLACES, Ledger, Need, covers, minus, missing, plus

needs = st.dictionaries(st.sampled_from([HOST, "cuda:0", PLACES]), st.integers(0, 100))


def test_what_is_reserved_is_not_free_until_it_is_released() -> None:
    ledger = Ledger({HOST: 100, PLACES: 2})
    ledger.reserve("a", {HOST: 60, PLACES: 1})
    assert ledger.free == {HOST: 40, PLACES: 1}
    assert ledger.held_by("a") == {HOST: 60, PLACES: 1}
    ledger.release("a")
    ledger.release("a")
    assert ledger.free == {HOST: 100, PLACES: 2}
    assert ledger.held_by("a") == {}


def test_a_correction_never_takes_more_than_there_is() -> None:
    ledger = Ledger({HOST: 100})
    ledger.reserve("a", {HOST: 60})
    ledger.reserve("b", {HOST: 30})
    ledger.correct("a", {HOST: 90})
    assert ledger.held_by("a") == {HOST: 70}
    assert ledger.free == {HOST: 0}
    ledger.correct("a", {HOST: 10})
    assert ledger.free == {HOST: 60}


@given(needs, needs)
def test_what_is_missing_is_what_has_to_be_added(available: Need, need: Need) -> None:
    assert covers(plus(available, missing(available, need)), need)
    assert covers(available, need) == (not missing(available, need))


@given(needs, needs)
def test_sums_and_differences_undo_each_other(one: Need, other: Need) -> None:
    assert {name: amount for name, amount in minus(plus(one, other), other).items() if amount} == {
        name: amount for name, amount in one.items() if amount
    }


def test_what_nobody_has_is_not_needed_in_vain() -> None:
    assert covers({}, {"cuda:0": 0})
    assert not covers({}, {"cuda:0": 1})
