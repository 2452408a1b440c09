"""The answers of a fake model: `word0 word1 …`, or what it was told to say."""

import asyncio
import math
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from msgspec.structs import replace

from hostler.errors import EngineDeadError
from hostler.testing.waits import first_of
from hostler.tools import ToolCall, ToolCallDelta
from hostler.types import (
    Admission,
    ChatPrompt,
    FinishReason,
    Prompt,
    SamplingParams,
    TokenDelta,
    TokenLogprob,
    TokenLogprobs,
)

if TYPE_CHECKING:
    from hostler.testing.engine import FakeEngine


class FakeGeneration:
    """One accepted request of a `FakeEngine`."""

    def __init__(self, engine: "FakeEngine", admission: Admission, prompt: Prompt, params: SamplingParams) -> None:
        self._engine = engine
        self._admission = admission
        self._prompt = prompt
        self._params = params
        self._answer = engine.model.next_answer(prompt)
        self._aborted = asyncio.Event()
        self._is_finished = False
        self._deltas: AsyncIterator[TokenDelta] | None = None

    @property
    def admission(self) -> Admission:
        return self._admission

    def abort(self) -> None:
        if self._is_finished or self._aborted.is_set():
            return
        self._aborted.set()
        self._engine.num_aborted += 1
        self._engine.running.discard(self)

    async def next_deltas(self) -> list[TokenDelta]:
        if self._deltas is None:
            self._deltas = aiter(self)
        async for delta in self._deltas:
            return [delta]
        return []

    async def __aiter__(self) -> AsyncIterator[TokenDelta]:
        tokens, last_reason = self._tokens()
        for i, token in enumerate(tokens):
            await self._pause(i)
            for index in range(self._params.n):
                if self._aborted.is_set():
                    yield TokenDelta(index=index, finish_reason=FinishReason.ABORT)
                    continue
                is_last = i == len(tokens) - 1
                if is_last and index == self._params.n - 1:
                    self._finish()
                yield replace(
                    token,
                    index=index,
                    token_ids=[i],
                    queued_s=0.0 if i == 0 else None,
                    finish_reason=last_reason if is_last else None,
                    stop=self._engine.model.stop if is_last else None,
                    logprobs=_score(i, token.text, -1.0 / (index + i + 1), self._params.logprobs),
                    prompt_logprobs=self._prompt_logprobs() if i == index == 0 else [],
                )
            if self._aborted.is_set():
                return
        if not tokens:
            self._finish()
            for index in range(self._params.n):
                prompt_logprobs = [] if index else self._prompt_logprobs()
                yield TokenDelta(index=index, finish_reason=FinishReason.LENGTH, prompt_logprobs=prompt_logprobs)

    def _prompt_logprobs(self) -> list[TokenLogprobs]:
        words = self._admission.prompt_text.split(" ")
        spelled = words[:1] + [f" {word}" for word in words[1:]]
        num_top = self._params.prompt_logprobs
        return [entry for i, word in enumerate(spelled) for entry in _score(i, word, -float(i) or None, num_top)]

    def _tokens(self) -> tuple[list[TokenDelta], FinishReason]:
        max_tokens = self._admission.max_tokens
        model = self._engine.model
        if self._answer is None:
            is_cut = self._params.max_tokens is not None or self._params.max_length is not None
            words = [TokenDelta(text=f"word{i} ") for i in range(max_tokens)]
            return words, FinishReason.LENGTH if is_cut else FinishReason.STOP
        tokens = [TokenDelta(text=word) for word in _spaced(self._answer)]
        if isinstance(self._prompt, ChatPrompt) and self._prompt.splits_reasoning and model.reasoning:
            tokens = [TokenDelta(reasoning=word) for word in _spaced(model.reasoning)] + tokens
        if isinstance(self._prompt, ChatPrompt) and self._prompt.tool_use is not None:
            tokens += [token for i, call in enumerate(model.tool_calls) for token in _call_tokens(i, call)]
        is_cut = len(tokens) > max_tokens
        return tokens[:max_tokens], FinishReason.LENGTH if is_cut else FinishReason.STOP

    async def _pause(self, i: int) -> None:
        """Wait until word `i` is due, the request is aborted or the worker has ended."""
        model = self._engine.model
        await asyncio.sleep(0)
        if model.token_pause_s:
            await first_of(self._engine.sleep(model.token_pause_s), self._aborted.wait(), self._engine.dead.wait())
        if model.token_gate is not None and i >= model.num_free_words:
            await first_of(model.token_gate.wait(), self._aborted.wait(), self._engine.dead.wait())
        if self._aborted.is_set():
            return
        if self._engine.dead.is_set():
            self._finish()
            raise EngineDeadError("the model's process ended under the request")
        if model.generation_error is not None and i == model.num_free_words:
            self._finish()
            raise model.generation_error

    def _finish(self) -> None:
        self._is_finished = True
        self._engine.running.discard(self)


def _spaced(text: str) -> list[str]:
    """Its words, each with the space that follows it."""
    words = [word + " " for word in text.split(" ")]
    return [*words[:-1], words[-1].removesuffix(" ")]


def _call_tokens(index: int, call: ToolCall) -> list[TokenDelta]:
    """Its beginning, then its arguments."""
    begun = ToolCallDelta(index=index, id=call.id, name=call.name)
    return [
        TokenDelta(tool_calls=[begun]),
        TokenDelta(tool_calls=[ToolCallDelta(index=index, arguments=call.arguments)]),
    ]


def _score(token_id: int, word: str, logprob: float | None, num_top: int | None) -> list[TokenLogprobs]:
    """One entry, beside rivals `rival0 rival1 …`, each half as likely as what is left for it and those after it;
    nothing where nothing was asked for."""
    if num_top is None:
        return []
    top = []
    if logprob is not None:
        left = 1 - math.exp(logprob)
        for i in range(num_top):
            left /= 2
            rival = f"rival{i}"
            top.append(TokenLogprob(token_id=i, text=rival, bytes=rival.encode(), logprob=round(math.log(left), 4)))
    return [TokenLogprobs(token_id=token_id, text=word, bytes=word.encode(), logprob=logprob, top=top)]
