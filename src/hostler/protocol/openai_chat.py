"""`/v1/chat/completions`: request, whole answer, chunks of a streamed one."""

from typing import Annotated, Any, Literal, NotRequired

import msgspec
from pydantic import Field, ValidationInfo, field_validator, model_validator
from typing_extensions import TypedDict

from hostler.errors import InvalidRequestError
from hostler.protocol.constraints import refuse_other_ends
from hostler.protocol.fields import Integer, TokenCount
from hostler.protocol.openai import AnswerHead, ChunkHead, SamplingRequest, Usage
from hostler.protocol.openai_fields import CHAT_UNSUPPORTED, without_inert_fields
from hostler.protocol.openai_logprobs import ChatLogprobs
from hostler.protocol.openai_messages import Messages, chat_messages, checked_continuation
from hostler.protocol.openai_tools import Choice, Tools, choice_of, tools_of
from hostler.protocol.reasoning import Effort, reasoning_of_effort
from hostler.protocol.tools import tool_use_of
from hostler.tools import ToolUse
from hostler.types import ChatPrompt, SamplingParams

MAX_TOP_LOGPROBS = 20


class ChatCompletionBody(SamplingRequest):
    """A conversation to answer; the model may be named by the path instead of by `model`."""

    model: str | None = None
    """A registered id or Hugging Face name."""
    messages: Messages
    add_generation_prompt: bool | None = None
    """Extension. End the prompt with what begins an answer. Default true."""
    continue_final_message: bool | None = None
    """Extension. Go on with the last message, an assistant's, instead of beginning a new one."""
    max_completion_tokens: TokenCount | None = None
    """New tokens at most, per answer. Default: to the end of the model's context."""
    logprobs: bool | None = None
    """Say of each token of the answer how likely the model held it to be."""
    top_logprobs: Annotated[Integer, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    """And of so many of its likeliest rivals. Needs `logprobs`."""
    tools: Tools | None = None
    """Functions that the model may call. It is told of them as its chat template does, or in a system message."""
    tool_choice: Choice | None = None
    """`required` and a function by name: the answer is calls that fit their schemas. Default `auto`, as the model
    likes; `none` keeps the tools from it."""
    parallel_tool_calls: bool | None = None
    """Whether an answer may have several calls. Default true."""
    reasoning_effort: Effort | None = None
    """How much to think, where the chat template has a switch for that: `none` is off. Default: as it has it."""

    @model_validator(mode="before")
    @classmethod
    def _without_inert_fields(cls, data: Any) -> Any:
        return without_inert_fields(data, CHAT_UNSUPPORTED)

    @field_validator("continue_final_message")
    @classmethod
    def _continues_an_answer(cls, value: bool | None, info: ValidationInfo) -> bool | None:
        return checked_continuation(value, info)

    @field_validator("max_completion_tokens")
    @classmethod
    def _one_limit(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and info.data.get("max_tokens") not in (None, value):
            raise ValueError("Input should not be set beside another max_tokens; leave max_tokens out")
        return value

    @field_validator("top_logprobs")
    @classmethod
    def _only_with_logprobs(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and "logprobs" in info.data and not info.data["logprobs"]:
            raise ValueError("Input is allowed only when logprobs is true")
        return value

    def sampling_params(self, suggested_temperature: float = 1.0) -> SamplingParams:
        params = super().sampling_params(suggested_temperature)
        if self.logprobs and params.beams is not None:
            raise InvalidRequestError(
                "logprobs is not available with num_beams; leave one of them out", param="logprobs"
            )
        tool_use = self.tool_use()
        if tool_use is not None and tool_use.is_required:
            refuse_other_ends(params, "this tool_choice")
        if self.max_completion_tokens is not None:
            params = msgspec.structs.replace(params, max_tokens_field="max_completion_tokens")
        return msgspec.structs.replace(params, logprobs=self.top_logprobs or 0) if self.logprobs else params

    def limit(self) -> int | None:
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    def tool_use(self) -> ToolUse | None:
        """
        Raises:
            InvalidRequestError: tools that cannot be, or not in this conversation.
        """
        is_parallel = self.parallel_tool_calls is not False
        tool_use = tool_use_of(tools_of(self.tools), choice_of(self.tool_choice), is_parallel=is_parallel)
        if tool_use is not None and self.continue_final_message:
            raise InvalidRequestError(
                "tools are not available with continue_final_message; leave one of them out", param="tools"
            )
        return tool_use

    def prompt(self) -> ChatPrompt:
        return ChatPrompt(
            messages=chat_messages(self.messages),
            continue_last=bool(self.continue_final_message),
            add_generation_prompt=self.add_generation_prompt is not False,
            tool_use=self.tool_use(),
            reasoning=reasoning_of_effort(self.reasoning_effort),
            splits_reasoning=True,
        )


class ChatCompletionRequest(ChatCompletionBody):
    """A conversation to answer."""

    model: str


ChatFinishReason = Literal["stop", "length", "tool_calls"]


class AnswerFunction(TypedDict):
    name: str
    arguments: str
    """JSON as the model wrote it."""


class AnswerToolCall(TypedDict):
    id: str
    type: Literal["function"]
    function: AnswerFunction


class AnswerMessage(TypedDict):
    role: Literal["assistant"]
    content: str | None
    """Null where there are calls alone."""
    refusal: None
    reasoning_content: NotRequired[str]
    """What the model thought before it answered, where its chat template marks that."""
    tool_calls: NotRequired[list[AnswerToolCall]]


class ChatChoice(TypedDict):
    index: int
    message: AnswerMessage
    logprobs: ChatLogprobs | None
    finish_reason: ChatFinishReason


class ChatCompletion(AnswerHead):
    object: Literal["chat.completion"]
    choices: list[ChatChoice]
    usage: Usage


class FunctionDelta(TypedDict):
    name: NotRequired[str]
    arguments: str


class ToolCallChunk(TypedDict):
    """What is new of one call; the first one has its id and name."""

    index: int
    id: NotRequired[str]
    type: NotRequired[Literal["function"]]
    function: FunctionDelta


class ChatDelta(TypedDict):
    role: NotRequired[Literal["assistant"]]
    content: NotRequired[str]
    refusal: NotRequired[None]
    reasoning_content: NotRequired[str]
    tool_calls: NotRequired[list[ToolCallChunk]]


class ChatChunkChoice(TypedDict):
    index: int
    delta: ChatDelta
    logprobs: ChatLogprobs | None
    finish_reason: ChatFinishReason | None


class ChatCompletionChunk(ChunkHead):
    object: Literal["chat.completion.chunk"]
    choices: list[ChatChunkChoice]
