"""Writes the items of a streamed `/v1/responses`, one after the other, each from its beginning to its end."""

from collections.abc import Iterator
from itertools import count
from typing import Literal, Protocol

from msgspec.structs import replace

from hostler.protocol.responses_answers import (
    ArgumentsDelta,
    ArgumentsDone,
    ContentPartEvent,
    ItemStatus,
    OutputItem,
    OutputItemEvent,
    OutputText,
    OutputTextDelta,
    OutputTextDone,
    ReasoningText,
    ReasoningTextDelta,
    ReasoningTextDone,
    StreamEvent,
)
from hostler.server.responses_items import (
    call_item,
    delta_logprobs,
    message_item,
    new_id,
    reasoning_item,
    text_part,
)
from hostler.tools import ToolCall, ToolCallDelta
from hostler.types import TokenDelta, TokenLogprobs


class _OpenItem(Protocol):
    """The item that is being written."""

    id: str

    def begin(self, writer: "ItemWriter") -> Iterator[StreamEvent]: ...

    def end(self, writer: "ItemWriter") -> Iterator[StreamEvent]: ...

    def item(self, status: ItemStatus) -> OutputItem: ...


class ItemWriter:
    """Numbers the events of a stream, and knows which item is open."""

    def __init__(self) -> None:
        self.items: list[OutputItem] = []
        """Those that are complete."""
        self._numbers = count()
        self._open: _OpenItem | None = None

    def number(self) -> int:
        """That of the next event."""
        return next(self._numbers)

    @property
    def index(self) -> int:
        """Of the open item."""
        return len(self.items)

    def write(self, delta: TokenDelta) -> Iterator[StreamEvent]:
        if delta.reasoning:
            reasoning = self._open if isinstance(self._open, _Reasoning) else _Reasoning()
            yield from self._go_on_with(reasoning)
            yield from reasoning.grow(self, delta.reasoning)
        logprobs = [] if delta.reasoning or delta.tool_calls else delta.logprobs
        if delta.text or any(token.bytes is not None for token in logprobs):
            message = self._open if isinstance(self._open, _Message) else _Message()
            yield from self._go_on_with(message)
            yield from message.grow(self, delta.text, logprobs)
        for part in delta.tool_calls:
            call = self._open if isinstance(self._open, _Call) and not part.name else _Call(part)
            yield from self._go_on_with(call)
            if part.arguments:
                yield from call.grow(self, part.arguments)

    def finish(self, status: Literal["completed", "incomplete"]) -> Iterator[StreamEvent]:
        """End what is open; an answer without anything is an empty message."""
        if self._open is None and not self.items:
            yield from self._go_on_with(_Message())
        yield from self._end(status)

    def _go_on_with(self, item: _OpenItem) -> Iterator[StreamEvent]:
        if item is self._open:
            return
        yield from self._end("completed")
        self._open = item
        yield self._item_event("response.output_item.added", item.item("in_progress"))
        yield from item.begin(self)

    def _end(self, status: ItemStatus) -> Iterator[StreamEvent]:
        if self._open is None:
            return
        yield from self._open.end(self)
        item = self._open.item(status)
        yield self._item_event("response.output_item.done", item)
        self.items.append(item)
        self._open = None

    def _item_event(
        self, kind: Literal["response.output_item.added", "response.output_item.done"], item: OutputItem
    ) -> OutputItemEvent:
        return OutputItemEvent(type=kind, sequence_number=self.number(), output_index=self.index, item=item)

    def part_event(
        self,
        kind: Literal["response.content_part.added", "response.content_part.done"],
        item_id: str,
        part: OutputText | ReasoningText,
    ) -> ContentPartEvent:
        return ContentPartEvent(
            type=kind,
            sequence_number=self.number(),
            item_id=item_id,
            output_index=self.index,
            content_index=0,
            part=part,
        )


class _Message:
    def __init__(self) -> None:
        self.id = new_id("msg")
        self._texts: list[str] | None = None
        """`None`: its part has not begun."""
        self._logprobs: list[TokenLogprobs] = []

    @property
    def _text(self) -> str:
        return "".join(self._texts or ())

    def item(self, status: ItemStatus) -> OutputItem:
        return message_item(self.id, None if self._texts is None else self._text, status, self._logprobs)

    def begin(self, writer: ItemWriter) -> Iterator[StreamEvent]:
        self._texts = []
        yield writer.part_event("response.content_part.added", self.id, text_part("", []))

    def grow(self, writer: ItemWriter, text: str, logprobs: list[TokenLogprobs]) -> Iterator[StreamEvent]:
        assert self._texts is not None, "a text before its part"
        self._texts.append(text)
        self._logprobs += logprobs
        yield OutputTextDelta(
            type="response.output_text.delta",
            sequence_number=writer.number(),
            item_id=self.id,
            output_index=writer.index,
            content_index=0,
            delta=text,
            logprobs=delta_logprobs(logprobs),
        )

    def end(self, writer: ItemWriter) -> Iterator[StreamEvent]:
        yield OutputTextDone(
            type="response.output_text.done",
            sequence_number=writer.number(),
            item_id=self.id,
            output_index=writer.index,
            content_index=0,
            text=self._text,
            logprobs=delta_logprobs(self._logprobs),
        )
        part = text_part(self._text, self._logprobs)
        yield writer.part_event("response.content_part.done", self.id, part)


class _Reasoning:
    def __init__(self) -> None:
        self.id = new_id("rs")
        self._texts: list[str] = []

    @property
    def _text(self) -> str:
        return "".join(self._texts)

    def item(self, status: ItemStatus) -> OutputItem:
        return reasoning_item(self.id, self._text, status)

    def begin(self, writer: ItemWriter) -> Iterator[StreamEvent]:
        yield writer.part_event("response.content_part.added", self.id, ReasoningText(type="reasoning_text", text=""))

    def grow(self, writer: ItemWriter, text: str) -> Iterator[StreamEvent]:
        self._texts.append(text)
        yield ReasoningTextDelta(
            type="response.reasoning_text.delta",
            sequence_number=writer.number(),
            item_id=self.id,
            output_index=writer.index,
            content_index=0,
            delta=text,
        )

    def end(self, writer: ItemWriter) -> Iterator[StreamEvent]:
        yield ReasoningTextDone(
            type="response.reasoning_text.done",
            sequence_number=writer.number(),
            item_id=self.id,
            output_index=writer.index,
            content_index=0,
            text=self._text,
        )
        part = ReasoningText(type="reasoning_text", text=self._text)
        yield writer.part_event("response.content_part.done", self.id, part)


class _Call:
    def __init__(self, begun: ToolCallDelta) -> None:
        self.id = new_id("fc")
        self._call = ToolCall(id=begun.id, name=begun.name, arguments="")

    def item(self, status: ItemStatus) -> OutputItem:
        return call_item(self.id, self._call, status)

    def begin(self, writer: ItemWriter) -> Iterator[StreamEvent]:  # noqa: ARG002
        return iter(())

    def grow(self, writer: ItemWriter, arguments: str) -> Iterator[StreamEvent]:
        self._call = replace(self._call, arguments=self._call.arguments + arguments)
        yield ArgumentsDelta(
            type="response.function_call_arguments.delta",
            sequence_number=writer.number(),
            item_id=self.id,
            output_index=writer.index,
            delta=arguments,
        )

    def end(self, writer: ItemWriter) -> Iterator[StreamEvent]:
        yield ArgumentsDone(
            type="response.function_call_arguments.done",
            sequence_number=writer.number(),
            item_id=self.id,
            output_index=writer.index,
            arguments=self._call.arguments,
        )
