"""One generation while it runs: its lease, and the prompts that the engine accepted."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from hostler.engine_client import Generation
from hostler.errors import EngineDeadError, HostlerError, InvalidRequestError, ModelUnloadedError, ShuttingDownError
from hostler.lifecycle.lease import ModelLease
from hostler.lifecycle.manager import ModelManager
from hostler.registry import ModelSpec
from hostler.server import request_context
from hostler.server.answer import Answer, Sequence
from hostler.server.model_types import GENERATING, check_type
from hostler.server.request_context import Deadline
from hostler.server.wait_comments import wait_comment
from hostler.telemetry.request_metrics import Generated
from hostler.telemetry.timeline import Timeline
from hostler.types import FinishReason, ModelFacts, Prompt, SamplingParams, TokenDelta

PromptsFor = Callable[[ModelFacts], list[Prompt]]
"""How a request is prompted may depend on the model, which is known only once it is loaded."""
Batch = tuple[int, list[TokenDelta]]
"""What has come at once of the answers to one prompt, whose index stands before it."""


class GenerationRun:
    """Acquires the model, hands over the prompts, and yields what they produce. `close` must be called, once begun."""

    def __init__(
        self,
        manager: ModelManager,
        spec: ModelSpec,
        prompts_for: PromptsFor,
        params: SamplingParams,
        priority: int = 0,
        keep_alive_s: float | None = None,
    ) -> None:
        """`priority`: lower is served earlier, once the model is there. `keep_alive_s`: how long it stays after that;
        `None`: leaves that as it is."""
        self.spec = spec
        self.params = params
        self.timeline = Timeline()
        self.answer: Answer | None = None
        """As far as it has come; `None` until the engine has accepted all of it."""
        self._context = request_context.current()
        self._priority = priority
        self._keep_alive_s = keep_alive_s
        self._manager = manager
        self._prompts_for = prompts_for
        self._lease: ModelLease | None = None
        self._generations: dict[int, Generation] = {}

    async def open(self) -> Answer:
        """Wait for the model and until the engine has accepted every prompt.

        A worker that dies before it has done so has taken nothing of the request with it, so another gets it, once;
        not so one that was ended by command.

        Raises:
            DeadlineError: it cannot be had in the time that the request has.
            HostlerError: the model cannot be had, or a prompt does not suit it.
        """
        if self._context.deadline is not None:
            await self._refuse_if_late(self._context.deadline)
        async with request_context.within_deadline():
            self.answer = await self._open()
        self.timeline.note_admission()
        return self.answer

    def generated(self) -> Generated:
        """What it has come to, for the metrics and the log."""
        if (answer := self.answer) is None:
            return Generated(model_id=self.spec.id, timeline=self.timeline, params=self.params)
        return Generated(
            model_id=self.spec.id,
            timeline=self.timeline,
            num_prompt_tokens=answer.num_prompt_tokens,
            num_cached_tokens=answer.num_cached_tokens,
            num_completion_tokens=answer.num_completion_tokens,
            num_reasoning_tokens=answer.num_reasoning_tokens,
            finish_reasons=answer.finish_reasons,
            params=self.params,
        )

    async def _open(self) -> Answer:
        lease = await self._acquire()
        try:
            return await self._hand_over(lease)
        except EngineDeadError as exc:
            loss = lease.loss()
            if loss is not None and not isinstance(loss, EngineDeadError):
                raise loss from exc
            await lease.worker_ended.wait()
            self.close()
            return await self._hand_over(await self._acquire())

    async def batches(self, answer: Answer) -> AsyncGenerator[Batch, None]:
        """What is new, already added to `answer`.

        Raises:
            DeadlineError: the time that the request has is over.
            ModelUnloadedError, ShuttingDownError: the worker was ended by command.
            ServiceError: it failed.
        """
        try:
            async with aclosing(self._context.in_time(_merge(self._generations))) as merged:
                async for i, come in merged:
                    deltas = [delta for delta in come if delta.finish_reason is not FinishReason.ABORT]
                    self._context.note_token()
                    self.timeline.note(i, deltas)
                    answer.add(i, deltas)
                    yield i, deltas
                    if len(deltas) < len(come):
                        raise self._abort_error()
        except (EngineDeadError, ModelUnloadedError) as exc:
            # The process ends in the same way whoever ended it; only the lease knows why.
            if self._lease is None or (loss := self._lease.loss()) is None:
                raise
            raise loss from exc

    def close(self) -> None:
        """Stop what still runs, and let go of the model. Harmless at any moment and more than once."""
        for generation in self._generations.values():
            generation.abort()
        self._generations.clear()
        if self._lease is not None:
            self._lease.release()

    def describe_wait(self) -> str:
        """One line for a client that waits."""
        entries = self._manager.journal.last(model_id=self.spec.id)
        return wait_comment(self._manager.status(self.spec.id), entries, time.time())

    async def _refuse_if_late(self, deadline: Deadline) -> None:
        expected_s = (await self._manager.plan(self.spec)).expected_s
        if expected_s is not None and expected_s > deadline.left_s():
            raise deadline.error(
                f"loading {self.spec.id} takes {expected_s:.1f} s, longer than the request has; load it before, or give"
                " the request more time"
            )

    def _abort_error(self) -> HostlerError:
        if self._manager.is_draining:
            return ShuttingDownError("the server is shutting down, and the time for answers that still ran is over")
        return ModelUnloadedError("the model was told to stop before the answer was complete")

    async def _acquire(self) -> ModelLease:
        check_type(self.spec, GENERATING, "what generates text")
        self._lease = await self._manager.acquire(
            self.spec, keep_alive_s=self._keep_alive_s, caller=self._context.caller
        )
        self.timeline.note_lease()
        return self._lease

    async def _hand_over(self, lease: ModelLease) -> Answer:
        async def generate(i: int, prompt: Prompt) -> None:
            self._generations[i] = await lease.engine.generate(
                prompt, self.params, priority=self._priority, caller=self._context.caller
            )

        prompts = self._prompts_for(lease.engine.facts)
        if len(prompts) == 1:
            await generate(0, prompts[0])
        else:
            try:
                async with asyncio.TaskGroup() as group:
                    for i, prompt in enumerate(prompts):
                        group.create_task(generate(i, prompt))
            except ExceptionGroup as exc:
                raise exc.exceptions[0] from exc
        return Answer(
            spec=lease.spec,
            facts=lease.engine.facts,
            params=self.params,
            admissions=[self._generations[i].admission for i in range(len(prompts))],
            sequences=[[Sequence() for _ in range(self.params.n)] for _ in prompts],
            prompt_logprobs=[[] for _ in prompts],
        )


def refuse_too_many(spec: ModelSpec, num_prompts: int, param: str) -> None:
    """
    Raises:
        InvalidRequestError: more prompts than may wait for the model at all.
    """
    if num_prompts > spec.max_queued_requests:
        raise InvalidRequestError(
            f"{param} has {num_prompts} prompts, and at most {spec.max_queued_requests} requests may wait for this"
            " model (max_queued_requests); send fewer at once",
            param=param,
        )


async def _merge(generations: dict[int, Generation]) -> AsyncGenerator[Batch, None]:
    """The deltas of several generations in the order in which they come."""
    if len(generations) == 1:
        while deltas := await generations[0].next_deltas():
            yield 0, deltas
        return
    arrived: asyncio.Queue[Batch | Exception | None] = asyncio.Queue()

    async def pump(i: int, generation: Generation) -> None:
        try:
            while deltas := await generation.next_deltas():
                arrived.put_nowait((i, deltas))
            arrived.put_nowait(None)
        except Exception as exc:
            arrived.put_nowait(exc)

    pumps = [asyncio.create_task(pump(i, generation)) for i, generation in generations.items()]
    try:
        num_running = len(pumps)
        while num_running:
            item = await arrived.get()
            if isinstance(item, Exception):
                raise item
            if item is None:
                num_running -= 1
            else:
                yield item
    finally:
        for task in pumps:
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
