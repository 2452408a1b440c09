"""What holds for everything that is done for one request, however deep: who asks, and until when.

It goes with the request's task and with those that the task starts, as a log's request id does elsewhere, so that no
route can forget to hand it on.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TypeVar

from fastapi import Request

from hostler.errors import DeadlineError, InvalidRequestError
from hostler.server.open_requests import Ticket
from hostler.server.principal import Principal
from hostler.types import ANYBODY, Caller

DEADLINE_HEADER = "x-request-deadline-ms"
MAX_DEADLINE_MS = 24 * 3600 * 1000

Item = TypeVar("Item")


@dataclass(frozen=True)
class Deadline:
    """Until when an answer is of use."""

    at: float
    """Seconds of the event loop's clock."""
    asked_ms: int

    def left_s(self) -> float:
        return self.at - asyncio.get_running_loop().time()

    def error(self, problem: str) -> DeadlineError:
        return DeadlineError(f"{problem} ({DEADLINE_HEADER}: {self.asked_ms})")


@dataclass(frozen=True)
class RequestContext:
    caller: Caller = ANYBODY
    deadline: Deadline | None = None
    ticket: Ticket | None = None
    """`None`: nobody counts the request."""

    def note_token(self) -> None:
        """The first one ends its wait; the others mean nothing."""
        if self.ticket is not None:
            self.ticket.begin()

    def in_time(self, items: AsyncGenerator[Item, None]) -> AsyncGenerator[Item, None]:
        """The same, until the deadline.

        Raises:
            DeadlineError: it has passed.
        """
        return items if self.deadline is None else _until_deadline(items)


_NO_REQUEST = RequestContext()
_current: ContextVar[RequestContext] = ContextVar("hostler_request")


def current() -> RequestContext:
    return _current.get(_NO_REQUEST)


def begin(request: Request, principal: Principal) -> None:
    """For the rest of the request.

    Raises:
        InvalidRequestError: its deadline is no number of milliseconds.
        DeadlineError: it has passed.
    """
    weight = 1.0 if principal.key is None else principal.key.weight
    caller = Caller(id=principal.caller_id, weight=weight)
    sent = request.headers.get(DEADLINE_HEADER)
    _current.set(RequestContext(caller, None if sent is None else _deadline(sent)))


def queue(ticket: Ticket) -> None:
    """Have it told when the request has its first token."""
    _current.set(replace(current(), ticket=ticket))


async def _until_deadline(items: AsyncGenerator[Item, None]) -> AsyncGenerator[Item, None]:
    async with aclosing(items):
        while True:
            # Not around the `yield`: what is done with an item is not to be interrupted.
            async with within_deadline():
                item = await anext(items, None)
            if item is None:
                return
            yield item


def within_deadline() -> AbstractAsyncContextManager[None]:
    """What takes longer than the request may is cancelled.

    Raises:
        DeadlineError: it was.
    """
    deadline = current().deadline
    return nullcontext() if deadline is None else _within(deadline)


@asynccontextmanager
async def _within(deadline: Deadline) -> AsyncIterator[None]:
    timeout = asyncio.timeout_at(deadline.at)
    try:
        async with timeout:
            yield
    except TimeoutError as exc:
        if not timeout.expired():  # uvloop's clock, which is rounded, may not be there yet when it has
            raise  # another's
        raise deadline.error("the request's deadline has passed, and what it had begun was stopped") from exc


def _deadline(sent: str) -> Deadline:
    digits = sent.strip().removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 18):
        raise InvalidRequestError(
            f"the header {DEADLINE_HEADER} should be a whole number of milliseconds from now, not {sent[:40]!r}",
            param=DEADLINE_HEADER,
        )
    asked_ms = int(sent)
    if asked_ms > MAX_DEADLINE_MS:
        raise InvalidRequestError(
            f"the header {DEADLINE_HEADER} counts milliseconds from now, {MAX_DEADLINE_MS} at most (a day)",
            param=DEADLINE_HEADER,
        )
    deadline = Deadline(at=asyncio.get_running_loop().time() + asked_ms / 1000, asked_ms=asked_ms)
    if asked_ms <= 0:
        raise deadline.error("the request's deadline had passed when it came")
    return deadline
