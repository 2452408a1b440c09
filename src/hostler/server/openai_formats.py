"""Answers as OpenAI spells them, whole and in chunks."""

import hashlib
import time
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal
from uuid import uuid4

from hostler import __version__
from hostler.protocol.openai import Usage, usage_of
from hostler.protocol.openai_chat import (
    AnswerMessage,
    ChatChoice,
    ChatChunkChoice,
    ChatCompletion,
    ChatCompletionChunk,
    ChatDelta,
)
from hostler.protocol.openai_completions import Completion, CompletionChoice, CompletionChunk, CompletionChunkChoice
from hostler.server.generation import Answer
from hostler.types import FinishReason, TokenDelta


class ChatCompletionFormat:
    """`/v1/chat/completions`."""

    def __init__(self, *, includes_usage: bool) -> None:
        self._id = f"chatcmpl-{uuid4().hex}"
        self._created = int(time.time())
        self._includes_usage = includes_usage

    def whole(self, answer: Answer) -> ChatCompletion:
        return ChatCompletion(
            id=self._id,
            object="chat.completion",
            created=self._created,
            model=answer.spec.id,
            system_fingerprint=_fingerprint(answer),
            choices=[
                ChatChoice(
                    index=index,
                    message=AnswerMessage(role="assistant", content=sequence.text, refusal=None),
                    logprobs=None,
                    finish_reason=_spell(sequence.finish_reason),
                )
                for index, sequence in enumerate(answer.sequences[0])
            ],
            usage=_usage(answer),
        )

    def opening(self, answer: Answer) -> Iterator[ChatCompletionChunk]:
        for index in range(answer.params.n):
            yield self._chunk(answer, index, ChatDelta(role="assistant", content="", refusal=None))

    def delta(self, answer: Answer, prompt_index: int, delta: TokenDelta) -> Iterator[ChatCompletionChunk]:  # noqa: ARG002
        if delta.text:
            yield self._chunk(answer, delta.index, ChatDelta(content=delta.text))
        if delta.finish_reason is not None:
            yield self._chunk(answer, delta.index, ChatDelta(), delta.finish_reason)

    def closing(self, answer: Answer) -> Iterator[ChatCompletionChunk]:
        if self._includes_usage:
            chunk = self._chunk(answer, 0, ChatDelta())
            chunk["choices"] = []
            chunk["usage"] = _usage(answer)
            yield chunk

    def _chunk(
        self, answer: Answer, index: int, delta: ChatDelta, finish_reason: FinishReason | None = None
    ) -> ChatCompletionChunk:
        chunk = ChatCompletionChunk(
            id=self._id,
            object="chat.completion.chunk",
            created=self._created,
            model=answer.spec.id,
            system_fingerprint=_fingerprint(answer),
            choices=[
                ChatChunkChoice(
                    index=index,
                    delta=delta,
                    logprobs=None,
                    finish_reason=None if finish_reason is None else _spell(finish_reason),
                )
            ],
        )
        if self._includes_usage:
            chunk["usage"] = None
        return chunk


class CompletionFormat:
    """`/v1/completions`. The choices of the first prompt come first, then those of the second."""

    def __init__(self, *, includes_usage: bool) -> None:
        self._id = f"cmpl-{uuid4().hex}"
        self._created = int(time.time())
        self._includes_usage = includes_usage

    def whole(self, answer: Answer) -> Completion:
        sequences = [sequence for of_prompt in answer.sequences for sequence in of_prompt]
        return Completion(
            id=self._id,
            object="text_completion",
            created=self._created,
            model=answer.spec.id,
            system_fingerprint=_fingerprint(answer),
            choices=[
                CompletionChoice(
                    index=index, text=sequence.text, logprobs=None, finish_reason=_spell(sequence.finish_reason)
                )
                for index, sequence in enumerate(sequences)
            ],
            usage=_usage(answer),
        )

    def opening(self, answer: Answer) -> Iterator[CompletionChunk]:  # noqa: ARG002
        return iter(())

    def delta(self, answer: Answer, prompt_index: int, delta: TokenDelta) -> Iterator[CompletionChunk]:
        index = prompt_index * answer.params.n + delta.index
        if delta.text:
            yield self._chunk(answer, index, delta.text)
        if delta.finish_reason is not None:
            yield self._chunk(answer, index, "", delta.finish_reason)

    def closing(self, answer: Answer) -> Iterator[CompletionChunk]:
        if self._includes_usage:
            chunk = self._chunk(answer, 0, "")
            chunk["choices"] = []
            chunk["usage"] = _usage(answer)
            yield chunk

    def _chunk(
        self, answer: Answer, index: int, text: str, finish_reason: FinishReason | None = None
    ) -> CompletionChunk:
        chunk = CompletionChunk(
            id=self._id,
            object="text_completion",
            created=self._created,
            model=answer.spec.id,
            system_fingerprint=_fingerprint(answer),
            choices=[
                CompletionChunkChoice(
                    index=index,
                    text=text,
                    logprobs=None,
                    finish_reason=None if finish_reason is None else _spell(finish_reason),
                )
            ],
        )
        if self._includes_usage:
            chunk["usage"] = None
        return chunk


def _spell(reason: FinishReason | None) -> Literal["stop", "length"]:
    return "length" if reason is FinishReason.LENGTH else "stop"


def _usage(answer: Answer) -> Usage:
    return usage_of(answer.num_prompt_tokens, answer.num_completion_tokens)


def _fingerprint(answer: Answer) -> str:
    facts = answer.facts
    return _hash(answer.spec.name, facts.revision or "", facts.dtype, facts.architecture, __version__)


@lru_cache(maxsize=256)
def _hash(*identity: str) -> str:
    """Changes with whatever may change the answer to the same request: weights, number format, code."""
    return f"fp_{hashlib.sha256(chr(10).join(identity).encode()).hexdigest()[:12]}"
