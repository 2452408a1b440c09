"""What a check came to."""

from enum import StrEnum

from hostler.struct import Struct


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """It works, and might work better or more safely."""
    PROBLEM = "problem"
    """It will not work, or is dangerous."""


class Finding(Struct, frozen=True, kw_only=True):
    """One fact about the machine or the configuration."""

    topic: str
    text: str
    """A fact in a few words; of what is not well, a sentence."""
    level: Level = Level.OK
    remedy: str | None = None
    """What to do; exactly where something is not well."""


def warning(topic: str, text: str, remedy: str) -> Finding:
    return Finding(topic=topic, text=text, level=Level.WARNING, remedy=remedy)


def problem(topic: str, text: str, remedy: str) -> Finding:
    return Finding(topic=topic, text=text, level=Level.PROBLEM, remedy=remedy)
