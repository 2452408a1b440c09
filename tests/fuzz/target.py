"""What is fuzzed: a parser, what it may raise, and where to begin."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """One parser."""

    name: str
    parse: Callable[[bytes], object]
    """Also asserts what has to be true of its results."""
    seeds: tuple[bytes, ...]
    refusals: tuple[type[Exception], ...] = ()
    """Documented errors; every other one is a finding."""
    words: tuple[str, ...] = ()
    """Of its language: names of fields, marks."""
    is_json: bool = False
    """Inputs are changed as JSON values, and as bytes now and then."""

    def run(self, data: bytes) -> None:
        """Raises what is a finding."""
        try:
            self.parse(data)
        except self.refusals:
            return
