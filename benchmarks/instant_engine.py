"""Loaded models that answer at once, so that what a gateway costs by itself can be measured.

They live in the gateway's process: the bare route that it is compared with asks no other process either, and on two
cores a third one would take time from the gateway. Their answers still go through the queue in which a worker's
answers wait for the request that reads them.
"""

import asyncio
import itertools
import os
from collections.abc import Iterator
from functools import lru_cache

from hostler.registry import ModelSpec
from hostler.testing.worker import FakeLauncher, FakeWorker
from hostler.types import ANYBODY, Admission, Caller, FinishReason, Prompt, SamplingParams, TokenDelta
from hostler.worker.generation import WorkerGeneration

INSTANT = "instant"
"""Id of the model whose whole answer is there when its request is accepted."""
STEPPING = "stepping"
"""Of the one that gives every request that runs one token in each turn of the event loop, as an engine's steps do."""


class InstantWorker(FakeWorker):
    """Implements `hostler.lifecycle.ports.Worker`."""

    def __init__(self, spec: ModelSpec, launcher: "InstantLauncher") -> None:
        super().__init__(spec, launcher.model(spec.id), os.getpid())
        self._steps = Steps()

    async def generate(  # type: ignore[override]  # that of a worker instead of a fake one
        self,
        prompt: Prompt,  # noqa: ARG002
        params: SamplingParams,
        *,
        priority: int = 0,  # noqa: ARG002
        caller: Caller = ANYBODY,  # noqa: ARG002
    ) -> WorkerGeneration:
        assert params.max_tokens is not None, "the load says how long an answer is"
        generation = WorkerGeneration(params.n, lambda: self._steps.drop(generation))
        generation.accept(Admission(num_prompt_tokens=10, max_tokens=params.max_tokens))
        deltas = answer_of(params.max_tokens)
        if self.spec.id == STEPPING:
            self._steps.add(generation, iter(deltas))
        else:
            for delta in deltas:
                generation.feed(delta)
        return generation


class InstantLauncher(FakeLauncher):
    """Starts such workers."""

    async def launch(self, spec: ModelSpec) -> FakeWorker:
        return InstantWorker(spec, self)


class Steps:
    """Gives every running request its next token, in each turn of the event loop."""

    def __init__(self) -> None:
        self._running: dict[WorkerGeneration, Iterator[TokenDelta]] = {}

    def add(self, generation: WorkerGeneration, deltas: Iterator[TokenDelta]) -> None:
        self._running[generation] = deltas
        if len(self._running) == 1:
            asyncio.get_running_loop().call_soon(self._step)

    def drop(self, generation: WorkerGeneration) -> None:
        self._running.pop(generation, None)

    def _step(self) -> None:
        for generation, deltas in list(self._running.items()):
            if generation.feed(next(deltas)):
                self.drop(generation)
        if self._running:
            asyncio.get_running_loop().call_soon(self._step)


@lru_cache
def answer_of(num_tokens: int) -> list[TokenDelta]:
    """A word for each token."""
    words = itertools.islice(itertools.cycle([" stable", " mangers", " harness", " bridles"]), num_tokens)
    deltas = [TokenDelta(text=word, token_ids=[i]) for i, word in enumerate(words)]
    last = TokenDelta(text=deltas[-1].text, token_ids=[num_tokens - 1], finish_reason=FinishReason.LENGTH)
    return [*deltas[:-1], last]
