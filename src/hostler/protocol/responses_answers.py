"""`/v1/responses`: the whole answer, and the events of a streamed one."""

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from hostler.protocol.openai import Error

ItemStatus = Literal["in_progress", "completed", "incomplete"]


class TextTopLogprob(TypedDict):
    token: str
    logprob: float
    bytes: list[int]
    """UTF-8, a part of a character where that is what the token is; empty for special tokens."""


class TextLogprob(TextTopLogprob):
    top_logprobs: list[TextTopLogprob]


class OutputText(TypedDict):
    type: Literal["output_text"]
    text: str
    annotations: list[Any]
    """Empty."""
    logprobs: list[TextLogprob]
    """Of the tokens that spell it, where they were asked for."""


class ReasoningText(TypedDict):
    type: Literal["reasoning_text"]
    text: str


class MessageItem(TypedDict):
    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    status: ItemStatus
    content: list[OutputText]


class ReasoningItem(TypedDict):
    """What the model thought before it answered, where its template marks that."""

    id: str
    type: Literal["reasoning"]
    status: ItemStatus
    summary: list[Any]
    """Empty: the thoughts themselves are there."""
    content: list[ReasoningText]


class FunctionCallItem(TypedDict):
    id: str
    type: Literal["function_call"]
    status: ItemStatus
    call_id: str
    name: str
    arguments: str
    """JSON as the model wrote it."""


OutputItem = MessageItem | ReasoningItem | FunctionCallItem


class InputTokensDetails(TypedDict):
    cached_tokens: int
    """Of the input, what had been computed for an earlier request and was not computed again."""
    cache_write_tokens: int
    """0: what is kept of a prompt costs nothing."""


class OutputTokensDetails(TypedDict):
    reasoning_tokens: int


class ResponseUsage(TypedDict):
    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class IncompleteDetails(TypedDict):
    reason: Literal["max_output_tokens"]


class ResponseFailure(TypedDict):
    code: Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]
    message: str


class ResponseTool(TypedDict):
    type: Literal["function"]
    name: str
    description: str | None
    parameters: dict[str, Any] | None
    strict: bool | None


class ResponseReasoning(TypedDict):
    effort: str | None
    summary: str | None


class Response(TypedDict):
    id: str
    object: Literal["response"]
    created_at: int
    """Unix seconds."""
    completed_at: NotRequired[int]
    status: Literal["in_progress", "completed", "incomplete", "failed"]
    background: Literal[False]
    error: ResponseFailure | None
    incomplete_details: IncompleteDetails | None
    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, str]
    model: str
    output: list[OutputItem]
    parallel_tool_calls: bool
    previous_response_id: None
    reasoning: ResponseReasoning
    temperature: float
    text: dict[str, Any]
    tool_choice: str | dict[str, Any]
    tools: list[ResponseTool]
    top_logprobs: int
    top_p: float
    truncation: Literal["auto", "disabled"]
    usage: ResponseUsage | None
    """Null until the answer has ended."""


class StreamEvent(TypedDict):
    """The name of a server-sent event is the `type` in its data."""

    sequence_number: int
    """0, 1, … without gaps."""


class ResponseEvent(StreamEvent):
    """The beginning of a stream and its end."""

    type: Literal[
        "response.created", "response.in_progress", "response.completed", "response.incomplete", "response.failed"
    ]
    response: Response


class OutputItemEvent(StreamEvent):
    type: Literal["response.output_item.added", "response.output_item.done"]
    output_index: int
    item: OutputItem


class ContentPartEvent(StreamEvent):
    type: Literal["response.content_part.added", "response.content_part.done"]
    item_id: str
    output_index: int
    content_index: int
    part: OutputText | ReasoningText


class DeltaTopLogprob(TypedDict):
    token: str
    logprob: float


class DeltaLogprob(DeltaTopLogprob):
    top_logprobs: list[DeltaTopLogprob]


class OutputTextDelta(StreamEvent):
    type: Literal["response.output_text.delta"]
    item_id: str
    output_index: int
    content_index: int
    delta: str
    logprobs: list[DeltaLogprob]


class OutputTextDone(StreamEvent):
    type: Literal["response.output_text.done"]
    item_id: str
    output_index: int
    content_index: int
    text: str
    logprobs: list[DeltaLogprob]


class ReasoningTextDelta(StreamEvent):
    type: Literal["response.reasoning_text.delta"]
    item_id: str
    output_index: int
    content_index: int
    delta: str


class ReasoningTextDone(StreamEvent):
    type: Literal["response.reasoning_text.done"]
    item_id: str
    output_index: int
    content_index: int
    text: str


class ArgumentsDelta(StreamEvent):
    type: Literal["response.function_call_arguments.delta"]
    item_id: str
    output_index: int
    delta: str


class ArgumentsDone(StreamEvent):
    type: Literal["response.function_call_arguments.done"]
    item_id: str
    output_index: int
    arguments: str


class StreamedFailure(StreamEvent):
    """An error before the answer has begun, after the headers have gone out; later ones are `response.failed`."""

    type: Literal["error"]
    code: str | None
    message: str
    param: str | None
    error: Error
    """The same, where OpenAI's clients look for what they raise."""


STREAM_EVENTS = (
    ResponseEvent,
    OutputItemEvent,
    ContentPartEvent,
    OutputTextDelta,
    OutputTextDone,
    ReasoningTextDelta,
    ReasoningTextDone,
    ArgumentsDelta,
    ArgumentsDone,
    StreamedFailure,
)
