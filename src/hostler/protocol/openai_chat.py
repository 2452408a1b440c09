"""`/v1/chat/completions`: request, whole answer, chunks of a streamed one."""

from typing import Annotated, Any, Literal, NotRequired

import msgspec
from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator
from typing_extensions import TypedDict

from hostler.errors import InvalidRequestError, UnsupportedParameterError
from hostler.protocol.fields import Integer, RequestBody, TokenCount
from hostler.protocol.openai import AnswerHead, ChunkHead, SamplingRequest, Usage
from hostler.protocol.openai_fields import CHAT_UNSUPPORTED, without_inert_fields
from hostler.protocol.openai_logprobs import ChatLogprobs
from hostler.types import ChatMessage, ChatPrompt, SamplingParams

MAX_MESSAGES = 4096
MAX_TOP_LOGPROBS = 20
_EMPTY_IN_HISTORY = ("tool_calls", "function_call", "audio")
"""Clients send an earlier answer back as they got it; with a value, these would change the prompt."""
_DROPPED_FROM_HISTORY = frozenset({*_EMPTY_IN_HISTORY, "annotations", "refusal"})


class TextPart(RequestBody):
    type: Literal["text"]
    text: str
    prompt_cache_breakpoint: dict[str, Any] | None = None
    """Accepted; what is kept of prompts is found without."""


def _as_parts(value: Any) -> Any:
    if isinstance(value, str):
        return [{"type": "text", "text": value}]
    if not isinstance(value, list):
        raise ValueError("Input should be a string or a list of text parts")
    return value


Content = Annotated[
    list[TextPart], Field(min_length=1), BeforeValidator(_as_parts, json_schema_input_type=str | list[TextPart])
]


class Message(RequestBody):
    """One turn of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Content
    name: str | None = None
    """Accepted; templates do not know it."""
    tool_call_id: str | None = None
    """Accepted in messages of the role tool."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_what_would_be_lost(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        for name in _EMPTY_IN_HISTORY:
            if data.get(name) not in (None, []):
                raise UnsupportedParameterError(
                    f"{name} in messages is not supported by this server; leave such messages out", param="messages"
                )
        content = data.get("content")
        for part in content if isinstance(content, list) else ():
            kind = part.get("type") if isinstance(part, dict) else None
            if isinstance(kind, str) and kind != "text":
                raise UnsupportedParameterError(
                    f"content parts of type {kind[:40]!r} are not supported by this server; send text",
                    param="messages",
                )
        return {key: value for key, value in data.items() if key not in _DROPPED_FROM_HISTORY}

    def as_chat_message(self) -> ChatMessage:
        text = "\n".join(part.text for part in self.content)
        return ChatMessage(role="system" if self.role == "developer" else self.role, content=text)


class ChatCompletionBody(SamplingRequest):
    """A conversation to answer; the model may be named by the path instead of by `model`."""

    model: str | None = None
    """A registered id or Hugging Face name."""
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    max_completion_tokens: TokenCount | None = None
    """New tokens at most, per answer. Default: to the end of the model's context."""
    logprobs: bool | None = None
    """Say of each token of the answer how likely the model held it to be."""
    top_logprobs: Annotated[Integer, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    """And of so many of its likeliest rivals. Needs `logprobs`."""

    @model_validator(mode="before")
    @classmethod
    def _without_inert_fields(cls, data: Any) -> Any:
        return without_inert_fields(data, CHAT_UNSUPPORTED)

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
        return msgspec.structs.replace(params, logprobs=self.top_logprobs or 0) if self.logprobs else params

    def limit(self) -> int | None:
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    def prompt(self) -> ChatPrompt:
        return ChatPrompt(messages=[message.as_chat_message() for message in self.messages])


class ChatCompletionRequest(ChatCompletionBody):
    """A conversation to answer."""

    model: str


ChatFinishReason = Literal["stop", "length"]


class AnswerMessage(TypedDict):
    role: Literal["assistant"]
    content: str
    refusal: None


class ChatChoice(TypedDict):
    index: int
    message: AnswerMessage
    logprobs: ChatLogprobs | None
    finish_reason: ChatFinishReason


class ChatCompletion(AnswerHead):
    object: Literal["chat.completion"]
    choices: list[ChatChoice]
    usage: Usage


class ChatDelta(TypedDict):
    role: NotRequired[Literal["assistant"]]
    content: NotRequired[str]
    refusal: NotRequired[None]


class ChatChunkChoice(TypedDict):
    index: int
    delta: ChatDelta
    logprobs: ChatLogprobs | None
    finish_reason: ChatFinishReason | None


class ChatCompletionChunk(ChunkHead):
    object: Literal["chat.completion.chunk"]
    choices: list[ChatChunkChoice]
