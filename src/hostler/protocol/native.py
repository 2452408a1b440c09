"""The native interface: what `generate`, `chat` and `load` are asked."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from hostler.logs import LogLevel
from hostler.protocol.beams import BeamFields
from hostler.protocol.constraints import ConstraintFields, check_constrained
from hostler.protocol.conversation import decode_context
from hostler.protocol.fields import (
    Integer,
    KeepAlive,
    NativeTemperature,
    Priority,
    RequestBody,
    Seed,
    Stop,
    alternatives,
    exactly_one,
    given,
)
from hostler.protocol.openai_completions import MAX_SEQUENCES
from hostler.protocol.openai_messages import Message, Messages, chat_messages
from hostler.types import ChatMessage, SamplingParams, TextPrompt

MAX_LENGTH = 4096
DEFAULT_TOP_P = 0.9
DEFAULT_TOP_K = 50
DEFAULT_TEMPERATURE = 0.7

Length = Annotated[Integer, Field(ge=1, le=MAX_LENGTH)]


class NativeSampling(BeamFields, ConstraintFields):
    """The parameters that `generate` and `chat` share. `null` is the default, everywhere."""

    max_length: Length | None = None
    max_new_tokens: Length | None = None
    """Tokens of the answer at most. Not beside `max_length`."""
    temperature: NativeTemperature | None = None
    """0 is greedy."""
    top_p: Annotated[float, Field(ge=0.1, le=1)] | None = None
    """Default 0.9."""
    top_k: Annotated[Integer, Field(ge=1, le=100)] | None = None
    """Default 50."""
    do_sample: bool | None = None
    """Default true; false is greedy."""
    seed: Seed | None = None
    stop: Stop | None = None
    """One string or several; none of them is part of the answer."""
    skip_special_tokens: bool | None = None
    """Leave special tokens out of the text. Default true."""
    priority: Priority | None = None
    """Of the requests that wait for the model's next step, lower numbers are served first. Default 0."""
    keep_alive: KeepAlive | None = None
    """How long the model stays in memory after its last request, from now on: seconds, "5m", 0 to leave at once, -1 for
    ever. Default: what the registry says."""
    stream: bool | None = None
    """Answer as server-sent events."""

    @field_validator("max_new_tokens")
    @classmethod
    def _one_limit(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and info.data.get("max_length") is not None:
            raise ValueError("Input should not be set beside max_length; leave one of them out")
        return value

    def text_params(self, default_max_length: int, num_answers: int = 1) -> SamplingParams:
        """Of the continuation of a text.

        `default_max_length`: new tokens when the request sets no limit; cut to what the context has room for.
        """
        is_unlimited = self.max_length is None and self.max_new_tokens is None
        params = SamplingParams(
            n=num_answers,
            max_length=self.max_length,
            max_tokens=default_max_length if is_unlimited else self.max_new_tokens,
            clamp_max_tokens=is_unlimited,
            **self._shared_params(DEFAULT_TEMPERATURE, num_answers),
        )
        return check_constrained(params)

    def chat_params(self, suggested_temperature: float) -> SamplingParams:
        """Of the answer in a conversation, which `max_length` bounds alone."""
        params = SamplingParams(
            max_tokens=self.max_new_tokens if self.max_length is None else self.max_length,
            clamp_max_tokens=self.max_length is not None,
            **self._shared_params(suggested_temperature),
        )
        return check_constrained(params)

    def _shared_params(self, default_temperature: float, num_answers: int = 1) -> dict[str, Any]:
        temperature = default_temperature if self.temperature is None else self.temperature
        beams = self.beams(num_answers)
        return given(
            temperature=0.0 if self.do_sample is False or beams is not None else temperature,
            beams=beams,
            top_p=DEFAULT_TOP_P if self.top_p is None else self.top_p,
            top_k=DEFAULT_TOP_K if self.top_k is None else self.top_k,
            seed=self.seed,
            stop=self.stop,
            skip_special_tokens=self.skip_special_tokens,
            constraint=self.constraint(),
            max_tokens_field=None if self.max_new_tokens is None else "max_new_tokens",
        )


class GenerateRequest(NativeSampling):
    """Text to continue, or for an encoder–decoder model the text to answer; or several of them."""

    model_config = ConfigDict(json_schema_extra=alternatives(text="string", texts="array"))

    max_length: Length | None = None
    """Tokens at most, the prompt included for causal models. Default: the prompt and `default_max_length` more."""
    num_return_sequences: Annotated[Integer, Field(ge=1, le=5)] | None = None
    """Per text. Default 1. With `num_beams`, the best so many, best first."""
    texts: Annotated[
        list[str] | None,
        Field(min_length=1, max_length=MAX_SEQUENCES, fail_fast=True),
    ] = None
    """Answered at once, each as if it were asked for alone."""
    text: Annotated[str | None, Field(validate_default=True)] = None
    """Exactly one of the two is needed."""

    @field_validator("num_return_sequences")
    @classmethod
    def _greedy_has_one_answer(cls, value: int | None, info: ValidationInfo) -> int | None:
        if (info.data.get("num_beams") or 1) > 1:
            return value
        is_greedy = info.data.get("do_sample") is False or info.data.get("temperature") == 0
        if value is not None and value > 1 and is_greedy:
            raise ValueError("Input should be 1 when do_sample is false or temperature is 0: all would be the same")
        return value

    @field_validator("texts")
    @classmethod
    def _bounded(cls, value: list[str] | None, info: ValidationInfo) -> list[str] | None:
        num_sequences = len(value or ()) * (info.data.get("num_return_sequences") or 1)
        if num_sequences > MAX_SEQUENCES:
            raise ValueError(f"Texts times num_return_sequences should be at most {MAX_SEQUENCES}, not {num_sequences}")
        return value

    @field_validator("text")
    @classmethod
    def _text_or_texts(cls, value: str | None, info: ValidationInfo) -> str | None:
        return exactly_one(value, info, "texts")

    def prompts(self) -> list[TextPrompt]:
        return [TextPrompt(text=text) for text in ([self.text or ""] if self.texts is None else self.texts)]

    def sampling_params(self, default_max_length: int) -> SamplingParams:
        return self.text_params(default_max_length, self.num_return_sequences or 1)


class ChatRequest(NativeSampling):
    """One message of a conversation, or all of them."""

    model_config = ConfigDict(json_schema_extra=alternatives(message="string", messages="array"))

    max_length: Length | None = None
    """Tokens of the answer at most, less where the model has room for less. Default: the model's own limit."""
    context: str | None = None
    """What the last answer returned, before a `message`; a foreign text is taken as one earlier turn."""
    messages: Messages | None = None
    """The whole conversation, of which the last message is to be answered."""
    message: Annotated[str | None, Field(validate_default=True)] = None
    """Exactly one of the two is needed."""

    @field_validator("messages")
    @classmethod
    def _without_context(cls, value: list[Message] | None, info: ValidationInfo) -> list[Message] | None:
        if value is not None and info.data.get("context"):
            raise ValueError("Input should not be set beside context; put the earlier turns into messages")
        return value

    @field_validator("message")
    @classmethod
    def _message_or_messages(cls, value: str | None, info: ValidationInfo) -> str | None:
        return exactly_one(value, info, "messages")

    def sampling_params(self, suggested_temperature: float) -> SamplingParams:
        return self.chat_params(suggested_temperature)

    def turns(self) -> list[ChatMessage]:
        """The earlier turns and the new message.

        Raises:
            InvalidRequestError: `context` cannot be read.
        """
        if self.messages is not None:
            return chat_messages(self.messages)
        earlier = decode_context(self.context) if self.context else []
        return [*earlier, ChatMessage(role="user", content=self.message or "")]


class LoadRequest(RequestBody):
    force_reload: bool | None = None
    """Load again if it is loaded. Default false."""
    keep_alive: KeepAlive | None = None
    """How long the model stays in memory without requests: seconds, "5m", 0 to leave at once, -1 for ever. Default:
    what the registry says."""
    pinned: bool | None = None
    """Whether it stays until it is told to leave, as a pinned entry of the registry does. Holds until it has left."""


class LogLevelRequest(RequestBody):
    level: LogLevel


class UnloadRequest(RequestBody):
    force: bool | None = None
    """Do not wait for running requests: they fail with `model_unloaded`. Default false."""
