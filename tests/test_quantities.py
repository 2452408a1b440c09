"""Amounts as people write them."""

import math

import pytest

from hostler.quantities import (
    MemoryBudget,
    format_bytes,
    parse_bytes,
    parse_keep_alive,
    parse_memory_budget,
    spell_keep_alive,
)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [(300, 300), ("300", 300), (1.5, 1.5), ("5m", 300), ("1.5h", 5400), ("250ms", 0.25), ("2 d", 172800), (0, 0)],
)
def test_durations_are_seconds(written: object, seconds: float) -> None:
    assert parse_keep_alive(written) == seconds


@pytest.mark.parametrize("written", [-1, "-1", "-5m", -0.5])
def test_less_than_no_time_is_for_ever(written: object) -> None:
    assert parse_keep_alive(written) == math.inf


@pytest.mark.parametrize("written", ["soon", "5 minutes", "", None, True, "1e3", "--1", float("nan"), float("inf"), []])
def test_what_is_no_duration_is_refused_with_examples(written: object) -> None:
    with pytest.raises(ValueError, match="such as '5m'"):
        parse_keep_alive(written)


@pytest.mark.parametrize(
    ("written", "num_bytes"),
    [(1024, 1024), ("8GiB", 8 * 2**30), ("8.5 gb", 8_500_000_000), ("1k", None), ("512 MiB", 2**29), ("7B", 7)],
)
def test_bytes_have_binary_and_decimal_units(written: object, num_bytes: int | None) -> None:
    if num_bytes is None:
        with pytest.raises(ValueError, match="such as '8GiB'"):
            parse_bytes(written)
    else:
        assert parse_bytes(written) == num_bytes


@pytest.mark.parametrize("written", [0, "0", -5, "-1GiB", True, None, "lots"])
def test_no_bytes_are_no_amount(written: object) -> None:
    with pytest.raises(ValueError, match="Input should be"):
        parse_bytes(written)


def test_a_budget_is_a_share_or_bytes() -> None:
    assert parse_memory_budget("80%") == MemoryBudget(share=0.8)
    assert parse_memory_budget("12.5 %").of(800) == 100
    assert parse_memory_budget("2GiB").of(2**40) == 2**31
    assert parse_memory_budget("2GiB").of(2**30) == 2**30, "no more than there is"


@pytest.mark.parametrize("written", ["0%", "101%", "-5%", "x%", "5GiB%"])
def test_a_share_is_above_nothing_and_no_more_than_all(written: str) -> None:
    with pytest.raises(ValueError, match="share above 0%"):
        parse_memory_budget(written)


def test_bytes_are_written_for_people() -> None:
    assert [format_bytes(amount) for amount in (270 * 2**20, 1.25 * 2**30)] == ["270 MiB", "1.2 GiB"]


@pytest.mark.parametrize(
    ("own_s", "default_s", "expected"),
    [(None, 1800.0, 1800.0), (0.0, 1800.0, 0.0), (60.0, None, 60.0), (None, None, -1.0), (math.inf, 1800.0, -1.0)],
)
def test_keep_alive_is_spelled_as_a_request_would_ask_for_it(
    own_s: float | None, default_s: float | None, expected: float
) -> None:
    assert spell_keep_alive(own_s, default_s) == expected
