"""The memory of this machine: what there is, and what nobody has taken."""

import psutil

from hostler.cgroups import memory_left, memory_limits


def total_bytes() -> int:
    """What this machine has, or this container or service may use."""
    return min([psutil.virtual_memory().total, *memory_limits()])


def available_bytes() -> int:
    """What can be had now without swapping, whoever has the rest."""
    return min([psutil.virtual_memory().available, *memory_left()])
