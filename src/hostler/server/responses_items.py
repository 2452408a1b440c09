"""The items that `/v1/responses` answers with: thoughts, a message, calls."""

from collections.abc import Iterable
from uuid import uuid4

from hostler.protocol.responses_answers import (
    DeltaLogprob,
    DeltaTopLogprob,
    FunctionCallItem,
    ItemStatus,
    MessageItem,
    OutputItem,
    OutputText,
    ReasoningItem,
    ReasoningText,
    TextLogprob,
    TextTopLogprob,
)
from hostler.server.answer import Sequence
from hostler.tools import ToolCall
from hostler.types import TokenLogprob, TokenLogprobs


def new_id(prefix: str) -> str:
    return f"{prefix}_{uuid4().hex}"


def items_of(sequence: Sequence, *, is_cut: bool) -> list[OutputItem]:
    """All items of an answer. `is_cut`: the last of them is not complete."""
    items: list[OutputItem] = []
    if sequence.reasoning:
        items.append(reasoning_item(new_id("rs"), sequence.reasoning, "completed"))
    if sequence.text or not (sequence.tool_calls or items):
        items.append(message_item(new_id("msg"), sequence.text, "completed", sequence.logprobs))
    items += [call_item(new_id("fc"), call, "completed") for call in sequence.tool_calls]
    if is_cut:
        items[-1]["status"] = "incomplete"
    return items


def reasoning_item(item_id: str, text: str, status: ItemStatus) -> ReasoningItem:
    """`text`: empty while it has none."""
    content = [ReasoningText(type="reasoning_text", text=text)] if text else []
    return ReasoningItem(id=item_id, type="reasoning", status=status, summary=[], content=content)


def message_item(item_id: str, text: str | None, status: ItemStatus, logprobs: Iterable[TokenLogprobs]) -> MessageItem:
    """`text`: `None` while it has no part."""
    content = [] if text is None else [text_part(text, logprobs)]
    return MessageItem(id=item_id, type="message", role="assistant", status=status, content=content)


def call_item(item_id: str, call: ToolCall, status: ItemStatus) -> FunctionCallItem:
    return FunctionCallItem(
        id=item_id, type="function_call", status=status, call_id=call.id, name=call.name, arguments=call.arguments
    )


def text_part(text: str, logprobs: Iterable[TokenLogprobs]) -> OutputText:
    entries = [
        TextLogprob(**_entry(token), top_logprobs=[_entry(top) for top in token.top])
        for token in logprobs
        if token.bytes is not None
    ]
    return OutputText(type="output_text", text=text, annotations=[], logprobs=entries)


def delta_logprobs(logprobs: Iterable[TokenLogprobs]) -> list[DeltaLogprob]:
    """As the events of a stream spell them: without bytes."""
    return [
        DeltaLogprob(**_short(token), top_logprobs=[_short(top) for top in token.top])
        for token in logprobs
        if token.bytes is not None
    ]


def _entry(token: TokenLogprob) -> TextTopLogprob:
    return TextTopLogprob(**_short(token), bytes=list(token.bytes or b""))


def _short(token: TokenLogprob) -> DeltaTopLogprob:
    assert token.logprob is not None, "a token of a prompt among those of an answer"
    return DeltaTopLogprob(token=token.text, logprob=token.logprob)
