"""The nearest known names to one that is not known."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Up to `count` of the known names, the most alike first, compared without regard to case."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    return [by_folded[match] for match in get_close_matches(name.casefold(), by_folded, n=count, cutoff=0.5)]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A clause to append to an error message: `; did you mean 'x'?`, or nothing."""
    names = nearest(name, known)
    return f"; did you mean {' or '.join(repr(candidate) for candidate in names)}?" if names else ""
