"""Work that goes on for as long as its client stays."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hostler.server.request_context import within_deadline


class AwaitedResponse(Response):
    """JSON that takes time to come by, mostly for a model to load: a client that hangs up meanwhile is noticed, which a
    plain handler would not."""

    def __init__(self, answer: Callable[[], Awaitable[Any]]) -> None:
        """`answer` is called once; it is cancelled when the client leaves, and may raise `HostlerError`."""
        super().__init__()
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await while_connected(receive, self._send_answer(scope, receive, send))

    async def _send_answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with within_deadline():
            body = msgspec.json.encode(await self._answer())
        await Response(body, media_type="application/json")(scope, receive, send)


async def while_connected(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Do the work, and raise what it raises; when the client hangs up first, cancel it and return once it has ended.

    The request's body must have been read: the work races the message of the disconnect.
    """
    working = asyncio.current_task()
    assert working is not None
    leaving = asyncio.create_task(hang_up(receive))
    leaving.add_done_callback(lambda leaving: leaving.cancelled() or working.cancel())
    try:
        await work
    except asyncio.CancelledError:
        # Not when somebody else has cancelled it as well.
        if not leaving.done() or working.uncancel() > 0:
            raise
    finally:
        leaving.cancel()


async def hang_up(receive: Receive) -> None:
    """Return when the client is gone. The body has been read, so nothing else is to come."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel, and wait until the tasks have cleaned up after themselves."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
