"""`/v1/messages`: the whole answer, the events of a streamed one, and its errors."""

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict


class TextBlock(TypedDict):
    type: Literal["text"]
    text: str


class ThinkingBlock(TypedDict):
    """What the model thought before it answered, where that was asked for and its template marks it."""

    type: Literal["thinking"]
    thinking: str
    signature: str
    """Empty: nothing is signed."""


class ToolUseBlock(TypedDict):
    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, Any]
    """Where the model wrote no JSON object, its text is under `arguments`."""


ContentBlock = TextBlock | ThinkingBlock | ToolUseBlock

StopReason = Literal["end_turn", "max_tokens", "stop_sequence", "tool_use", "model_context_window_exceeded"]


class ThinkingTokens(TypedDict):
    thinking_tokens: int


class DeltaUsage(TypedDict):
    """Of the whole answer so far, each time."""

    input_tokens: int
    """Of the prompt, what was computed."""
    cache_creation_input_tokens: int
    """0: what is kept of a prompt is counted as input."""
    cache_read_input_tokens: int
    """Of the prompt, what had been computed for an earlier request."""
    output_tokens: int
    output_tokens_details: ThinkingTokens


class MessageUsage(DeltaUsage):
    """The same; a class of its own where Anthropic has one."""


class AnthropicMessage(TypedDict):
    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[ContentBlock]
    stop_reason: StopReason | None
    """Null where a stream begins."""
    stop_sequence: str | None
    """The one that ended the answer."""
    usage: MessageUsage


class TokensCount(TypedDict):
    input_tokens: int


class MessageStart(TypedDict):
    type: Literal["message_start"]
    message: AnthropicMessage


class Ping(TypedDict):
    type: Literal["ping"]


class ContentBlockStart(TypedDict):
    type: Literal["content_block_start"]
    index: int
    content_block: ContentBlock


class TextDelta(TypedDict):
    type: Literal["text_delta"]
    text: str


class ThinkingDelta(TypedDict):
    type: Literal["thinking_delta"]
    thinking: str


class InputJsonDelta(TypedDict):
    type: Literal["input_json_delta"]
    partial_json: str


BlockDelta = TextDelta | ThinkingDelta | InputJsonDelta


class ContentBlockDelta(TypedDict):
    type: Literal["content_block_delta"]
    index: int
    delta: BlockDelta


class ContentBlockStop(TypedDict):
    type: Literal["content_block_stop"]
    index: int


class Stopped(TypedDict):
    stop_reason: StopReason
    stop_sequence: str | None


class MessageDelta(TypedDict):
    type: Literal["message_delta"]
    delta: Stopped
    usage: DeltaUsage


class MessageStop(TypedDict):
    type: Literal["message_stop"]


AnthropicErrorType = Literal[
    "invalid_request_error",
    "authentication_error",
    "permission_error",
    "not_found_error",
    "request_too_large",
    "rate_limit_error",
    "timeout_error",
    "api_error",
    "overloaded_error",
]


class ErrorDetails(TypedDict):
    error_code: str
    """Hostler's own code, the same as on the other routes."""
    param: NotRequired[str]
    """The field at fault, where there is one."""


class AnthropicErrorObject(TypedDict):
    type: AnthropicErrorType
    message: str
    details: ErrorDetails


class AnthropicError(TypedDict):
    """A body, and the event that ends a stream which failed."""

    type: Literal["error"]
    error: AnthropicErrorObject
    request_id: str


STREAM_EVENTS = (
    MessageStart,
    Ping,
    ContentBlockStart,
    ContentBlockDelta,
    ContentBlockStop,
    MessageDelta,
    MessageStop,
    AnthropicError,
)
