"""Amounts as people write them: `5m`, `8GiB`, `80%`."""

import math
import re
from dataclasses import dataclass

_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {
    **{"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12},
    **{"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40},
}
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")


@dataclass(frozen=True)
class MemoryBudget:
    """How much of a memory may be used: a share of it, or so many bytes. Exactly one of the two is set."""

    share: float | None = None
    """Above 0, at most 1."""
    num_bytes: int | None = None

    def of(self, total_bytes: int) -> int:
        """Bytes of a memory of that size; never more than it has."""
        if self.num_bytes is not None:
            return min(self.num_bytes, total_bytes)
        return int(total_bytes * (self.share or 0.0))


def parse_keep_alive(value: object) -> float:
    """`300`, `"300"`, `"5m"`, `0` → seconds; anything negative, such as `-1`, → infinity: for ever.

    Raises:
        ValueError: it is none of these.
    """
    problem = ValueError("Input should be seconds, a duration such as '5m', 0 to unload at once, or -1 for ever")
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise problem
    text = str(value).strip()
    is_negative = text.startswith("-")
    match = _AMOUNT.fullmatch(text.removeprefix("-"))
    if match is None or match[2] not in _SECONDS:
        raise problem
    return math.inf if is_negative else float(match[1]) * _SECONDS[match[2]]


def spell_keep_alive(own_s: float | None, default_s: float | None) -> float:
    """What holds of the two, as `parse_keep_alive` takes it: seconds, or -1 for ever, which infinity and a default of
    `None` stand for."""
    seconds = default_s if own_s is None else own_s
    return -1.0 if seconds is None or math.isinf(seconds) else seconds


def parse_bytes(value: object) -> int:
    """`8589934592`, `"8GiB"`, `"8.5 GB"` → bytes.

    Raises:
        ValueError: it is none of these, or nothing.
    """
    match = None if isinstance(value, bool) else _AMOUNT.fullmatch(str(value).strip())
    if match is None or match[2].upper() not in _BYTES:
        raise ValueError("Input should be a number of bytes, or one with a unit such as '8GiB'")
    num_bytes = float(match[1]) * _BYTES[match[2].upper()]
    if not 1 <= num_bytes < 2**63:
        raise ValueError("Input should be more than no bytes, and less than 8 EiB")
    return int(num_bytes)


def parse_memory_budget(value: object) -> MemoryBudget:
    """What `parse_bytes` takes, or a share: `"80%"`.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, MemoryBudget):
        return value
    text = str(value).strip()
    if not text.endswith("%"):
        return MemoryBudget(num_bytes=parse_bytes(value))
    match = _AMOUNT.fullmatch(text.removesuffix("%").strip())
    if match is None or match[2] or not 0 < float(match[1]) <= 100:
        raise ValueError("Input should be a share above 0% and up to 100%, or a number of bytes such as '8GiB'")
    return MemoryBudget(share=float(match[1]) / 100)


def format_bytes(num_bytes: float) -> str:
    """For people: `1.2 GiB`, `270 MiB`."""
    if num_bytes >= 2**30:
        return f"{num_bytes / 2**30:.1f} GiB"
    return f"{num_bytes / 2**20:.0f} MiB"
