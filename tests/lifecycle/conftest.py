"""A manager for each test."""

from collections.abc import AsyncIterator

import pytest

from tests.lifecycle.managed import Stable, close_and_check


@pytest.fixture
async def stable() -> AsyncIterator[Stable]:
    stable = Stable()
    await stable.manager.start()
    yield stable
    await close_and_check(stable)
