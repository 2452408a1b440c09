"""One prompt to several models at once: each has its own lease, its own place in the answer and its own failure."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hostler.protocol.model_answers import CompareAnswer, ComparedAnswer, ComparedText
from hostler.protocol.native_answers import NativeErrorBody
from hostler.server.answer import Answer
from hostler.server.connected import cancel, while_connected
from hostler.server.errors import native_body, translate
from hostler.server.generation import GenerationRun
from hostler.server.native_formats import finish_reason
from hostler.server.streaming import StreamTiming, send_body, send_data, send_headers
from hostler.types import TokenDelta

Event = ComparedText | ComparedAnswer
Explain = Callable[[Exception], NativeErrorBody]


class Comparison:
    """Runs several generations at once. None of them waits for another, so where there is room for fewer models they
    are answered one after the other."""

    def __init__(self, runs: list[GenerationRun], explain: Explain) -> None:
        self._runs = runs
        self._explain = explain
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        """`None` stands for the end of one."""
        self._ended: dict[str, ComparedAnswer] = {}
        """By model id."""

    @property
    def answers(self) -> list[ComparedAnswer]:
        """Of those that have ended, in the order of the runs."""
        return [self._ended[run.spec.id] for run in self._runs if run.spec.id in self._ended]

    def describe_waits(self) -> Iterator[str]:
        """One line for each that has not ended."""
        return (f"{run.spec.id}: {run.describe_wait()}" for run in self._runs if run.spec.id not in self._ended)

    async def events(self, quiet_s: float) -> AsyncGenerator[Event | None, None]:
        """What happens until all have ended; `None` whenever nothing did for `quiet_s` seconds.

        To be closed when it is left early: that ends all of them.
        """
        asking = [asyncio.create_task(self._ask(run)) for run in self._runs]
        num_running = len(asking)
        try:
            while num_running:
                try:
                    async with asyncio.timeout(quiet_s):
                        event = await self._events.get()
                except TimeoutError:
                    yield None
                    continue
                if event is None:
                    num_running -= 1
                else:
                    yield event
        finally:
            await cancel(*asking)

    async def _ask(self, run: GenerationRun) -> None:
        try:
            answer = await run.open()
            async with aclosing(run.batches(answer)) as batches:
                async for _, deltas in batches:
                    for delta in deltas:
                        self._tell(run, delta)
            ended = _answered(run, answer)
        except Exception as exc:
            ended = _failed(run, self._explain(exc))
        finally:
            run.close()
        self._ended[run.spec.id] = ended
        self._events.put_nowait(ended)
        self._events.put_nowait(None)

    def _tell(self, run: GenerationRun, delta: TokenDelta) -> None:
        if delta.text or delta.finish_reason is not None:
            reason = None if delta.finish_reason is None else finish_reason(delta.finish_reason)
            self._events.put_nowait(ComparedText(model_id=run.spec.id, text=delta.text, finish_reason=reason))


class CompareResponse(Response):
    """Sends a comparison, whole or as it comes. A client that hangs up ends all of it."""

    def __init__(self, runs: list[GenerationRun], *, is_streamed: bool, timing: StreamTiming) -> None:
        super().__init__()
        self._runs = runs
        self._is_streamed = is_streamed
        self._timing = timing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        def explain(exc: Exception) -> NativeErrorBody:
            error = translate(exc, scope)
            scope["state"]["error_code"] = error.code
            return native_body(error)

        scope["state"]["generations"] = self._runs
        answer = self._stream if self._is_streamed else self._answer_whole
        await while_connected(receive, answer(Comparison(self._runs, explain), scope, receive, send))

    async def _answer_whole(self, comparison: Comparison, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(comparison.events(self._timing.comment_every_s)) as events:
            async for _ in events:
                pass
        body = msgspec.json.encode(CompareAnswer(answers=comparison.answers))
        await Response(body, media_type="application/json")(scope, receive, send)

    async def _stream(self, comparison: Comparison, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        # At once: what can still go wrong is one model's own and stands in its place.
        await send_headers(send)
        async with aclosing(comparison.events(self._timing.comment_every_s)) as events:
            async for event in events:
                if event is None:
                    lines = (f": {line}\n" for line in comparison.describe_waits())
                    await send_body(send, f"{''.join(lines)}\n".encode())
                else:
                    await send_data(send, [event])
                    # Neither a full queue nor a server whose client is gone ever waits: let the others run.
                    await asyncio.sleep(0)
        await send_body(send, b"data: [DONE]\n\n", more_body=False)


def _answered(run: GenerationRun, answer: Answer) -> ComparedAnswer:
    sequence = answer.sequences[0][0]
    reason = sequence.finish_reason
    timeline = run.timeline
    wait_s, ttft_s, speed = timeline.wait_s or 0.0, timeline.ttft_s, timeline.tokens_per_second
    return ComparedAnswer(
        model_id=run.spec.id,
        model_name=run.spec.name,
        answer=sequence.text,
        finish_reason=None if reason is None else finish_reason(reason),
        prompt_tokens=answer.num_prompt_tokens,
        completion_tokens=answer.num_completion_tokens,
        load_s=round(wait_s, 4),
        ttft_s=None if ttft_s is None else round(ttft_s - wait_s, 4),
        total_s=round(timeline.last_at - timeline.asked_at, 4),
        tokens_per_second=None if speed is None else round(speed, 2),
        error=None,
    )


def _failed(run: GenerationRun, error: NativeErrorBody) -> ComparedAnswer:
    return ComparedAnswer(
        model_id=run.spec.id,
        model_name=run.spec.name,
        answer=None,
        finish_reason=None,
        prompt_tokens=None,
        completion_tokens=None,
        load_s=None,
        ttft_s=None,
        total_s=None,
        tokens_per_second=None,
        error=error,
    )
