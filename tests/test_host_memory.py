"""The memory of the machine, and of a container that may have less of it."""

from collections.abc import Sequence

import psutil
import pytest

from hostler import host_memory
from hostler.host_memory import available_bytes, total_bytes


@pytest.mark.parametrize(("groups", "expected"), [([], None), ([2**20, 2**62], 2**20), ([2**62], None)])
def test_a_container_has_no_more_than_its_limit(
    groups: Sequence[int], expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr(host_memory, "memory_limits", lambda: iter(groups))
    monkeypatch.setattr(host_memory, "memory_left", lambda: iter(groups))
    assert total_bytes() == (expected or memory.total)
    assert available_bytes() == (expected or memory.available)
