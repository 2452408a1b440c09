import asyncio

import pytest
from starlette.types import Message

from hostler.server.connected import while_connected
from tests.server.test_streaming import listening, post, until

LOAD = "/models/tiny-gated/load"


async def stays() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def leaves() -> Message:
    return {"type": "http.disconnect"}


async def test_work_ends_before_the_call_does_when_the_client_leaves() -> None:
    has_cleaned_up = False

    async def work() -> None:
        nonlocal has_cleaned_up
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            has_cleaned_up = True

    await while_connected(leaves, work())
    assert has_cleaned_up


async def test_what_the_work_raises_is_raised() -> None:
    async def work() -> None:
        raise ValueError("lost")

    with pytest.raises(ValueError, match="lost"):
        await while_connected(stays, work())


async def test_work_is_cancelled_with_its_caller() -> None:
    working = asyncio.Event()
    ended = asyncio.Event()

    async def work() -> None:
        working.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    call = asyncio.create_task(while_connected(stays, work()))
    await working.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert ended.is_set()


async def test_a_load_whose_client_leaves_goes_on_once_it_has_begun() -> None:
    async with listening() as (port, launcher, manager):
        gate = launcher.model("tiny-gated").load_gate = asyncio.Event()
        _, writer = await post(port, LOAD, {})
        await until(lambda: bool(launcher.workers))
        writer.close()
        await until(lambda: manager.status("tiny-gated").num_waiting == 0)
        gate.set()
        await until(lambda: manager.loaded_ids() == ["tiny-gated"])


async def test_a_load_that_waits_for_room_is_given_up_with_its_client() -> None:
    async with listening() as (port, launcher, manager):
        busy = ("tiny-chat", "tiny-text", "other-text")
        gates = {model_id: asyncio.Event() for model_id in busy}
        writers = []
        for model_id, gate in gates.items():
            launcher.model(model_id).token_gate = gate
            writers.append((await post(port, f"/models/{model_id}/chat", {"message": "a"}))[1])
        await until(lambda: all(manager.status(model_id).num_leases == 1 for model_id in busy))
        _, writer = await post(port, LOAD, {})
        await until(lambda: manager.status("tiny-gated").num_waiting == 1)
        writer.close()
        await until(lambda: manager.status("tiny-gated").num_waiting == 0)
        for gate in gates.values():
            gate.set()
        await until(lambda: not any(manager.status(model_id).num_leases for model_id in busy))
        assert manager.loaded_ids() == list(busy)
        for writer in writers:
            writer.close()
