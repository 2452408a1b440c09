"""A lease alone."""

import asyncio

import pytest

from hostler.lifecycle.lease import ModelLease
from tests.fake_worker import FakeEngine
from tests.lifecycle.specs import make_spec


async def test_a_lease_is_released_once_whatever_happens() -> None:
    releases: list[str] = []
    lease = ModelLease(make_spec("a"), FakeEngine(), lambda: releases.append("a"), asyncio.Event())
    with pytest.raises(ZeroDivisionError), lease:
        _ = 1 / 0
    lease.release()
    assert releases == ["a"]
    assert repr(lease) == "<ModelLease a released>"
