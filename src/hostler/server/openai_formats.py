"""Answers as OpenAI spells them, whole and in chunks."""

import hashlib
import time
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal
from uuid import uuid4

import msgspec

from hostler import __version__
from hostler.protocol.openai import AnswerHead, ChunkHead, Usage, usage_of
from hostler.protocol.openai_chat import (
    AnswerFunction,
    AnswerMessage,
    AnswerToolCall,
    ChatChoice,
    ChatChunkChoice,
    ChatCompletion,
    ChatCompletionChunk,
    ChatDelta,
    ChatFinishReason,
    FunctionDelta,
    ToolCallChunk,
)
from hostler.protocol.openai_completions import Completion, CompletionChoice, CompletionChunk, CompletionChunkChoice
from hostler.protocol.openai_logprobs import ChatLogprobs, CompletionLogprobs
from hostler.server.answer import Answer, Sequence
from hostler.server.openai_logprobs import CompletionLogprobsWriter, chat_logprobs
from hostler.tools import ToolCall, ToolCallDelta
from hostler.types import FinishReason, TokenDelta, TokenLogprobs


class _Heads:
    """What an answer and all of its chunks begin with."""

    def __init__(self, prefix: str, chunk_object: str, *, includes_usage: bool) -> None:
        """`prefix`: of the id. `includes_usage`: whether chunks say something of the usage."""
        self.includes_usage = includes_usage
        self._chunk_object = chunk_object
        self._spelled_head: bytes | None = None
        self._id = f"{prefix}-{uuid4().hex}"
        self._created = int(time.time())

    def of_answer(self, answer: Answer) -> AnswerHead:
        return AnswerHead(
            id=self._id, created=self._created, model=answer.spec.id, system_fingerprint=_fingerprint(answer)
        )

    def of_chunk(self, answer: Answer, usage: Usage | None = None) -> ChunkHead:
        head = ChunkHead(
            id=self._id, created=self._created, model=answer.spec.id, system_fingerprint=_fingerprint(answer)
        )
        if self.includes_usage:
            head["usage"] = usage
        return head

    def chunk(self, answer: Answer, choice: ChatChunkChoice | CompletionChunkChoice) -> msgspec.Raw:
        """As JSON. Chunks of an answer differ in nothing but their choice: the rest is spelled once."""
        if self._spelled_head is None:
            empty = {**self.of_chunk(answer), "object": self._chunk_object, "choices": []}
            self._spelled_head = msgspec.json.encode(empty).removesuffix(b"]}")
        return msgspec.Raw(b"%b%b]}" % (self._spelled_head, msgspec.json.encode(choice)))


class ChatCompletionFormat:
    """`/v1/chat/completions`."""

    def __init__(self, *, includes_usage: bool, may_call: bool = False) -> None:
        """`may_call`: the model was told of tools. Then nothing is said of the content until there is some."""
        self._heads = _Heads("chatcmpl", "chat.completion.chunk", includes_usage=includes_usage)
        self._may_call = may_call

    def whole(self, answer: Answer) -> ChatCompletion:
        return ChatCompletion(
            **self._heads.of_answer(answer),
            object="chat.completion",
            choices=[
                ChatChoice(
                    index=index,
                    message=_message(sequence),
                    logprobs=None if answer.params.logprobs is None else chat_logprobs(sequence.logprobs),
                    finish_reason=_chat_reason(sequence),
                )
                for index, sequence in enumerate(answer.sequences[0])
            ],
            usage=_usage(answer),
        )

    def opening(self, answer: Answer) -> Iterator[msgspec.Raw]:
        for index in range(answer.params.n):
            first = ChatDelta(role="assistant", refusal=None)
            if not self._may_call:
                first = ChatDelta(role="assistant", content="", refusal=None)
            yield self._heads.chunk(answer, _chat_piece(index, first))

    def delta(self, answer: Answer, prompt_index: int, delta: TokenDelta) -> Iterator[msgspec.Raw]:  # noqa: ARG002
        is_text = not delta.reasoning and not delta.tool_calls
        logprobs = chat_logprobs(delta.logprobs) if delta.logprobs and is_text else None
        if delta.reasoning:
            yield self._heads.chunk(answer, _chat_piece(delta.index, ChatDelta(reasoning_content=delta.reasoning)))
        if delta.text or (logprobs is not None and logprobs["content"]):
            said = ChatDelta(content=delta.text) if delta.text else ChatDelta()
            yield self._heads.chunk(answer, _chat_piece(delta.index, said, logprobs))
        for call in delta.tool_calls:
            # In a chunk of its own: instructor reads no more than the first of each.
            yield self._heads.chunk(answer, _chat_piece(delta.index, ChatDelta(tool_calls=[_call_chunk(call)])))
        if delta.finish_reason is not None:
            reason = _chat_reason(answer.sequences[0][delta.index])
            yield self._heads.chunk(answer, _chat_piece(delta.index, ChatDelta(), finish_reason=reason))

    def closing(self, answer: Answer) -> Iterator[ChatCompletionChunk]:
        if self._heads.includes_usage:
            head = self._heads.of_chunk(answer, _usage(answer))
            yield ChatCompletionChunk(**head, object="chat.completion.chunk", choices=[])


class CompletionFormat:
    """`/v1/completions`. The choices of the first prompt come first, then those of the second."""

    def __init__(self, *, includes_usage: bool, num_choices: int, is_echoed: bool, has_logprobs: bool) -> None:
        """`num_choices`: per prompt; where more were generated, the best of them."""
        self._heads = _Heads("cmpl", "text_completion", includes_usage=includes_usage)
        self._num_choices = num_choices
        self._is_echoed = is_echoed
        self._has_logprobs = has_logprobs
        self._writers: dict[int, CompletionLogprobsWriter] = {}
        """Of the choices whose stream has begun."""

    def whole(self, answer: Answer) -> Completion:
        choices = [
            self._choice(answer, prompt_index, sequence)
            for prompt_index, sequences in enumerate(answer.sequences)
            for sequence in best_sequences(sequences, self._num_choices)
        ]
        return Completion(
            **self._heads.of_answer(answer),
            object="text_completion",
            choices=[
                CompletionChoice(index=index, text=text, logprobs=logprobs, finish_reason=reason)
                for index, (text, logprobs, reason) in enumerate(choices)
            ],
            usage=_usage(answer),
        )

    def _choice(
        self, answer: Answer, prompt_index: int, sequence: Sequence
    ) -> tuple[str, CompletionLogprobs | None, Literal["stop", "length"]]:
        text, tokens = self._echo(answer, prompt_index)
        logprobs = CompletionLogprobsWriter().write(tokens + sequence.logprobs) if self._has_logprobs else None
        return text + sequence.text, logprobs, _spell(sequence.finish_reason)

    def _echo(self, answer: Answer, prompt_index: int) -> tuple[str, list[TokenLogprobs]]:
        """What precedes an answer."""
        if not self._is_echoed:
            return "", []
        return answer.admissions[prompt_index].prompt_text, answer.prompt_logprobs[prompt_index]

    def opening(self, answer: Answer) -> Iterator[msgspec.Raw]:  # noqa: ARG002
        return iter(())

    def delta(self, answer: Answer, prompt_index: int, delta: TokenDelta) -> Iterator[msgspec.Raw]:
        index = prompt_index * answer.params.n + delta.index
        text, tokens = delta.text, delta.logprobs
        if index not in self._writers:
            self._writers[index] = CompletionLogprobsWriter()
            prompt_text, prompt_tokens = self._echo(answer, prompt_index)
            text, tokens = prompt_text + text, prompt_tokens + tokens
        if text or (self._has_logprobs and tokens):
            logprobs = self._writers[index].write(tokens) if self._has_logprobs else None
            yield self._heads.chunk(answer, _text_piece(index, text, logprobs))
        if delta.finish_reason is not None:
            yield self._heads.chunk(answer, _text_piece(index, "", finish_reason=delta.finish_reason))

    def closing(self, answer: Answer) -> Iterator[CompletionChunk]:
        if self._heads.includes_usage:
            head = self._heads.of_chunk(answer, _usage(answer))
            yield CompletionChunk(**head, object="text_completion", choices=[])


def _message(sequence: Sequence) -> AnswerMessage:
    calls = [_call(call) for call in sequence.tool_calls]
    message = AnswerMessage(role="assistant", content=sequence.text or (None if calls else ""), refusal=None)
    if sequence.reasoning:
        message["reasoning_content"] = sequence.reasoning
    if calls:
        message["tool_calls"] = calls
    return message


def _call(call: ToolCall) -> AnswerToolCall:
    function = AnswerFunction(name=call.name, arguments=call.arguments)
    return AnswerToolCall(id=call.id, type="function", function=function)


def _call_chunk(call: ToolCallDelta) -> ToolCallChunk:
    if not call.id:
        return ToolCallChunk(index=call.index, function=FunctionDelta(arguments=call.arguments))
    function = FunctionDelta(name=call.name, arguments=call.arguments)
    return ToolCallChunk(index=call.index, id=call.id, type="function", function=function)


def _chat_reason(sequence: Sequence) -> ChatFinishReason:
    """OpenAI's document has `tool_calls` wherever a tool was called, also by name."""
    reason = _spell(sequence.finish_reason)
    return "tool_calls" if sequence.tool_calls and reason == "stop" else reason


def _chat_piece(
    index: int, delta: ChatDelta, logprobs: ChatLogprobs | None = None, finish_reason: ChatFinishReason | None = None
) -> ChatChunkChoice:
    return ChatChunkChoice(index=index, delta=delta, logprobs=logprobs, finish_reason=finish_reason)


def _text_piece(
    index: int, text: str, logprobs: CompletionLogprobs | None = None, finish_reason: FinishReason | None = None
) -> CompletionChunkChoice:
    reason = None if finish_reason is None else _spell(finish_reason)
    return CompletionChunkChoice(index=index, text=text, logprobs=logprobs, finish_reason=reason)


def best_sequences(sequences: list[Sequence], count: int) -> list[Sequence]:
    """Those whose tokens are likeliest on average, best first; all of them, as they are, where none has to go."""
    return sequences if count == len(sequences) else sorted(sequences, key=_mean_logprob, reverse=True)[:count]


def _mean_logprob(sequence: Sequence) -> float:
    # An empty sequence is one that max_tokens 0 asked for: all of them are equal.
    return sum(token.logprob or 0.0 for token in sequence.logprobs) / max(1, len(sequence.logprobs))


def _spell(reason: FinishReason | None) -> Literal["stop", "length"]:
    return "length" if reason is FinishReason.LENGTH else "stop"


def _usage(answer: Answer) -> Usage:
    return usage_of(
        answer.num_prompt_tokens, answer.num_completion_tokens, answer.num_cached_tokens, answer.num_reasoning_tokens
    )


def _fingerprint(answer: Answer) -> str:
    facts = answer.facts
    return _hash(answer.spec.name, facts.revision or "", facts.dtype, facts.architecture, __version__)


@lru_cache(maxsize=256)
def _hash(*identity: str) -> str:
    """Changes with whatever may change the answer to the same request: weights, number format, code."""
    return f"fp_{hashlib.sha256(chr(10).join(identity).encode()).hexdigest()[:12]}"
