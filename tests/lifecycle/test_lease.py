"""A lease alone."""

import asyncio

import pytest

from hostler.errors import EngineDeadError, ModelUnloadedError, ShuttingDownError
from hostler.lifecycle.events import LeaveReason
from hostler.lifecycle.lease import ModelLease
from hostler.testing.engine import FakeEngine
from tests.lifecycle.specs import make_spec


async def test_a_lease_is_released_once_whatever_happens() -> None:
    releases: list[str] = []
    lease = ModelLease(make_spec("a"), FakeEngine(), lambda: releases.append("a"), asyncio.Event(), lambda: None)
    with pytest.raises(ZeroDivisionError), lease:
        _ = 1 / 0
    lease.release()
    assert releases == ["a"]
    assert repr(lease) == "<ModelLease a released>"


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (LeaveReason.UNLOADED, ModelUnloadedError),
        (LeaveReason.SHUTDOWN, ShuttingDownError),
        (LeaveReason.HUNG, EngineDeadError),
    ],
)
async def test_a_lease_knows_why_its_worker_was_ended(reason: LeaveReason, expected: type[Exception]) -> None:
    lease = ModelLease(make_spec("a"), FakeEngine(), lambda: None, asyncio.Event(), lambda: reason)
    assert type(lease.loss()) is expected


async def test_a_worker_that_ended_by_itself_is_not_explained() -> None:
    lease = ModelLease(make_spec("a"), FakeEngine(), lambda: None, asyncio.Event(), lambda: None)
    assert lease.loss() is None
