"""Answers as `/v1/messages` spells them, whole and in events."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import msgspec

from hostler.errors import HostlerError
from hostler.protocol.anthropic_answers import (
    AnthropicMessage,
    BlockDelta,
    ContentBlock,
    ContentBlockDelta,
    ContentBlockStart,
    ContentBlockStop,
    DeltaUsage,
    InputJsonDelta,
    MessageDelta,
    MessageStart,
    MessageStop,
    MessageUsage,
    Ping,
    Stopped,
    StopReason,
    TextBlock,
    TextDelta,
    ThinkingBlock,
    ThinkingDelta,
    ThinkingTokens,
    ToolUseBlock,
)
from hostler.server.answer import Answer
from hostler.server.anthropic_errors import anthropic_body, anthropic_status
from hostler.server.errors import row_for
from hostler.types import FinishReason, TokenDelta

Event = Any
"""One of `hostler.protocol.anthropic_answers.STREAM_EVENTS`."""


class MessagesFormat:
    def __init__(self, *, max_tokens: int, shows_thinking: bool, request_id: str) -> None:
        """`max_tokens`: as they were asked for; the context may have had room for fewer."""
        self._id = f"msg_{uuid4().hex}"
        self._max_tokens = max_tokens
        self._shows_thinking = shows_thinking
        self._request_id = request_id
        self._index = -1
        """Of the block that was begun last."""
        self._open: tuple[str, int] | None = None
        """Its kind, and which call it is."""

    def whole(self, answer: Answer) -> AnthropicMessage:
        sequence = answer.sequences[0][0]
        content: list[ContentBlock] = []
        if sequence.reasoning and self._shows_thinking:
            content.append(ThinkingBlock(type="thinking", thinking=sequence.reasoning, signature=""))
        if sequence.text or not (sequence.tool_calls or content):
            content.append(TextBlock(type="text", text=sequence.text))
        content += [
            ToolUseBlock(type="tool_use", id=call.id, name=call.name, input=_input(call.arguments))
            for call in sequence.tool_calls
        ]
        message = self._message(answer, content)
        stopped = self._stopped(answer)
        message["stop_reason"], message["stop_sequence"] = stopped["stop_reason"], stopped["stop_sequence"]
        return message

    def opening(self, answer: Answer) -> Iterator[Event]:
        yield MessageStart(type="message_start", message=self._message(answer, []))
        yield Ping(type="ping")

    def delta(self, answer: Answer, prompt_index: int, delta: TokenDelta) -> Iterator[Event]:  # noqa: ARG002
        if delta.reasoning and self._shows_thinking:
            yield from self._begin("thinking", ThinkingBlock(type="thinking", thinking="", signature=""))
            yield self._grown(ThinkingDelta(type="thinking_delta", thinking=delta.reasoning))
        if delta.text:
            yield from self._begin("text", TextBlock(type="text", text=""))
            yield self._grown(TextDelta(type="text_delta", text=delta.text))
        for call in delta.tool_calls:
            block = ToolUseBlock(type="tool_use", id=call.id, name=call.name, input={})
            yield from self._begin("tool_use", block, call.index)
            if call.arguments:
                yield self._grown(InputJsonDelta(type="input_json_delta", partial_json=call.arguments))

    def closing(self, answer: Answer) -> Iterator[Event]:
        if self._index < 0:
            yield from self._begin("text", TextBlock(type="text", text=""))
        yield from self._end()
        yield MessageDelta(type="message_delta", delta=self._stopped(answer), usage=DeltaUsage(**_usage(answer)))
        yield MessageStop(type="message_stop")

    def failure(self, error: HostlerError) -> Iterator[Event]:
        yield anthropic_body(error, anthropic_status(row_for(error).status), self._request_id)

    def _begin(self, kind: str, block: ContentBlock, call_index: int = 0) -> Iterator[Event]:
        """Unless it is open already."""
        if self._open == (kind, call_index):
            return
        yield from self._end()
        self._open = (kind, call_index)
        self._index += 1
        yield ContentBlockStart(type="content_block_start", index=self._index, content_block=block)

    def _grown(self, delta: BlockDelta) -> ContentBlockDelta:
        return ContentBlockDelta(type="content_block_delta", index=self._index, delta=delta)

    def _end(self) -> Iterator[Event]:
        if self._open is not None:
            self._open = None
            yield ContentBlockStop(type="content_block_stop", index=self._index)

    def _message(self, answer: Answer, content: list[ContentBlock]) -> AnthropicMessage:
        return AnthropicMessage(
            id=self._id,
            type="message",
            role="assistant",
            model=answer.spec.id,
            content=content,
            stop_reason=None,
            stop_sequence=None,
            usage=_usage(answer),
        )

    def _stopped(self, answer: Answer) -> Stopped:
        sequence = answer.sequences[0][0]
        reason: StopReason = "end_turn"
        if sequence.finish_reason is FinishReason.LENGTH:
            is_context_full = answer.admissions[0].max_tokens < self._max_tokens
            reason = "model_context_window_exceeded" if is_context_full else "max_tokens"
        elif sequence.stop is not None:
            reason = "stop_sequence"
        elif sequence.tool_calls:
            reason = "tool_use"
        return Stopped(stop_reason=reason, stop_sequence=sequence.stop)


def _usage(answer: Answer) -> MessageUsage:
    sequence = answer.sequences[0][0]
    return MessageUsage(
        input_tokens=answer.num_prompt_tokens - answer.num_cached_tokens,
        cache_creation_input_tokens=0,
        cache_read_input_tokens=answer.num_cached_tokens,
        output_tokens=sequence.num_tokens,
        output_tokens_details=ThinkingTokens(thinking_tokens=sequence.num_reasoning_tokens),
    )


def _input(arguments: str) -> dict[str, Any]:
    """What the model wrote, or that under `arguments` where it is no object."""
    if not arguments:
        return {}
    try:
        return msgspec.json.decode(arguments, type=dict[str, Any])
    except msgspec.MsgspecError:
        return {"arguments": arguments}
