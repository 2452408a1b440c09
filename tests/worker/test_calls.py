"""Calls wait for their own answers, and for nothing when they were given up."""

import asyncio

import pytest

from hostler.errors import EngineDeadError, InvalidRequestError
from hostler.worker.calls import PendingCalls
from hostler.worker.messages import (
    Abort,
    CallFailed,
    Detokenize,
    Detokenized,
    ErrorReport,
    HeartbeatReport,
    ReportHeartbeat,
    ToWorker,
)


class Asked:
    """Calls under way, and what was sent for them."""

    def __init__(self) -> None:
        self.sent: list[ToWorker] = []
        self.calls = PendingCalls(self.sent.append)

    async def detokenize(self, call_id: int) -> "asyncio.Task[Detokenized]":
        task = asyncio.create_task(self.calls.ask(Detokenize(call_id=call_id, token_ids=[]), Detokenized))
        await asyncio.sleep(0)
        return task


async def test_each_call_has_its_own_answer_in_whatever_order_they_come() -> None:
    asked = Asked()
    first, second = await asked.detokenize(1), await asked.detokenize(2)
    for call_id in (2, 1, 77):
        asked.calls.settle(Detokenized(call_id=call_id, text=f"text {call_id}"))
    assert [(await first).text, (await second).text] == ["text 1", "text 2"]


async def test_a_call_that_failed_raises_the_error_of_the_worker_and_the_others_wait_on() -> None:
    asked = Asked()
    first, second = await asked.detokenize(1), await asked.detokenize(2)
    asked.calls.settle(CallFailed(call_id=1, error=ErrorReport.of(InvalidRequestError("bad", param="tokens"))))
    with pytest.raises(InvalidRequestError, match="bad") as caught:
        await first
    assert caught.value.param == "tokens"
    assert not second.done()
    asked.calls.fail(EngineDeadError("gone"))
    with pytest.raises(EngineDeadError):
        await second


async def test_a_text_call_that_is_given_up_is_withdrawn_and_its_late_answer_is_nobodys() -> None:
    asked = Asked()
    given_up = await asked.detokenize(1)
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    assert asked.sent[-1] == Abort(request_id=1)
    asked.calls.settle(Detokenized(call_id=1, text="late"))


async def test_another_call_that_is_given_up_is_left_alone_since_a_loading_worker_knows_no_requests() -> None:
    asked = Asked()
    task = asyncio.create_task(asked.calls.ask(ReportHeartbeat(call_id=1), HeartbeatReport))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asked.sent == [ReportHeartbeat(call_id=1)]
