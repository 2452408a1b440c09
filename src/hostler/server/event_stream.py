"""The journal as server-sent events, from now on or from where a client left off."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hostler.lifecycle.journal import Journal, JournalEntry
from hostler.lifecycle.manager import ModelManager
from hostler.protocol.stable_answers import ModelEvent
from hostler.server.connected import cancel, hang_up
from hostler.server.streaming import StreamTiming, json_line, send_body, send_headers
from hostler.server.wait_comments import LoadView, load_view
from hostler.types import ModelState


def event_of(entry: JournalEntry) -> ModelEvent:
    return ModelEvent(
        number=entry.number,
        time=entry.time,
        kind=entry.kind.value,
        model_id=entry.model_id,
        text=entry.text,
        facts=dict(entry.facts),
    )


def resumable(journal: Journal, after: int) -> int:
    """The number to go on after: a number that has not been given yet is from before a restart, so all that happened
    since is new."""
    newest = journal.last(limit=1)
    return after if newest and after <= newest[0].number else 0


class EventStream(Response):
    """Tells what happens until the client hangs up or the server is leaving."""

    def __init__(
        self,
        manager: ModelManager,
        *,
        model_id: str | None,
        after: int,
        leaving: asyncio.Event,
        timing: StreamTiming,
    ) -> None:
        """`model_id`: `None` for all models. `leaving`: set when the server is to end."""
        super().__init__()
        self._manager = manager
        self._model_id = model_id
        self._after = after
        self._leaving = leaving
        self._timing = timing
        self._shown: dict[str, LoadView | None] = {}
        """By model id: the progress that was told last."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        telling = asyncio.create_task(self._tell(send))
        hanging_up = asyncio.create_task(hang_up(receive))
        ending = asyncio.create_task(self._leaving.wait())
        try:
            await asyncio.wait((telling, hanging_up, ending), return_when=asyncio.FIRST_COMPLETED)
            if telling.done():
                telling.result()
        finally:
            is_gone = hanging_up.done()
            await cancel(telling, hanging_up, ending)
        if not is_gone:
            await send_body(send, b"", more_body=False)

    async def _tell(self, send: Send) -> None:
        await send_headers(send)
        # At once: what stands between sends the headers on with the first bytes.
        await send_body(send, b": connected\n\n")
        async with aclosing(self._manager.journal.follow(model_id=self._model_id, after=self._after)) as entries:
            await self._tell_entries(entries, send)

    async def _tell_entries(self, entries: AsyncGenerator[JournalEntry], send: Send) -> None:
        told_at = watched_at = time.monotonic()
        coming = asyncio.ensure_future(anext(entries))
        try:
            while True:
                loading = self._loading()
                due_at = told_at + self._timing.keep_alive_every_s
                if loading:
                    due_at = min(due_at, watched_at + self._timing.progress_every_s)
                await asyncio.wait((coming,), timeout=max(0.0, due_at - time.monotonic()))
                content = b""
                if coming.done():
                    content = _frame(event_of(coming.result()))
                    coming = asyncio.ensure_future(anext(entries))
                elif time.monotonic() >= watched_at + self._timing.progress_every_s:
                    watched_at = time.monotonic()
                    content = self._progress()
                if not content and time.monotonic() >= told_at + self._timing.keep_alive_every_s:
                    content = b": still here\n\n"
                if content:
                    told_at = time.monotonic()
                    await send_body(send, content)
        finally:
            await cancel(coming)

    def _loading(self) -> list[str]:
        """Models of interest that are loading now."""
        model_ids = list(self._manager.registry) if self._model_id is None else [self._model_id]
        return [model_id for model_id in model_ids if self._manager.status(model_id).state is ModelState.LOADING]

    def _progress(self) -> bytes:
        """Events of the loads that have come further since the last time."""
        content = b""
        views = {model_id: load_view(self._manager.status(model_id), time.time()) for model_id in self._loading()}
        for model_id, view in views.items():
            if view is not None and view != self._shown.get(model_id):
                content += _frame(_progress_event(model_id, view))
        self._shown = views
        return content


def _progress_event(model_id: str, view: LoadView) -> ModelEvent:
    return ModelEvent(
        number=None,
        time=time.time(),
        kind="progress",
        model_id=model_id,
        text=f"{model_id}: {view}",
        facts=asdict(view),
    )


def _frame(event: ModelEvent) -> bytes:
    """One server-sent event. What has no number has no id, so a client that comes back names the last that has."""
    head = f"event: {event['kind']}\n"
    if event["number"] is not None:
        head = f"id: {event['number']}\n{head}"
    return head.encode() + b"data: " + json_line(event) + b"\n\n"
