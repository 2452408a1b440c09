"""The native interface: what `generate`, `chat` and `load` are asked."""

from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator

from hostler.protocol.beams import BeamFields
from hostler.protocol.conversation import decode_context
from hostler.protocol.fields import Integer, KeepAlive, NativeTemperature, Priority, RequestBody, Seed, Stop, given
from hostler.types import ChatMessage, SamplingParams

MAX_LENGTH = 4096
DEFAULT_TOP_P = 0.9
DEFAULT_TOP_K = 50
DEFAULT_TEMPERATURE = 0.7

Length = Annotated[Integer, Field(ge=1, le=MAX_LENGTH)]


class NativeSampling(BeamFields):
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
        )


class GenerateRequest(NativeSampling):
    """Text to continue, or for an encoder–decoder model the text to answer."""

    text: str
    max_length: Length | None = None
    """Tokens at most, the prompt included for causal models. Default: the prompt and `default_max_length` more."""
    num_return_sequences: Annotated[Integer, Field(ge=1, le=5)] | None = None
    """Default 1. With `num_beams`, the best so many, best first."""

    @field_validator("num_return_sequences")
    @classmethod
    def _greedy_has_one_answer(cls, value: int | None, info: ValidationInfo) -> int | None:
        if (info.data.get("num_beams") or 1) > 1:
            return value
        is_greedy = info.data.get("do_sample") is False or info.data.get("temperature") == 0
        if value is not None and value > 1 and is_greedy:
            raise ValueError("Input should be 1 when do_sample is false or temperature is 0: all would be the same")
        return value

    def sampling_params(self, default_max_length: int) -> SamplingParams:
        """`default_max_length`: new tokens when the request sets no limit; cut to what the context has room for."""
        is_unlimited = self.max_length is None and self.max_new_tokens is None
        num_answers = 1 if self.num_return_sequences is None else self.num_return_sequences
        return SamplingParams(
            n=num_answers,
            max_length=self.max_length,
            max_tokens=default_max_length if is_unlimited else self.max_new_tokens,
            clamp_max_tokens=is_unlimited,
            **self._shared_params(DEFAULT_TEMPERATURE, num_answers),
        )


class ChatRequest(NativeSampling):
    """One message of a conversation."""

    message: str
    max_length: Length | None = None
    """Tokens of the answer at most, less where the model has room for less. Default: the model's own limit."""
    context: str | None = None
    """What the last answer returned; a foreign text is taken as one earlier turn."""

    def sampling_params(self, suggested_temperature: float) -> SamplingParams:
        return SamplingParams(
            max_tokens=self.max_new_tokens if self.max_length is None else self.max_length,
            clamp_max_tokens=self.max_length is not None,
            **self._shared_params(suggested_temperature),
        )

    def messages(self) -> list[ChatMessage]:
        """The earlier turns and the new message.

        Raises:
            InvalidRequestError: `context` cannot be read.
        """
        earlier = decode_context(self.context) if self.context else []
        return [*earlier, ChatMessage(role="user", content=self.message)]


class LoadRequest(RequestBody):
    force_reload: bool | None = None
    """Load again if it is loaded. Default false."""
    keep_alive: KeepAlive | None = None
    """How long the model stays in memory without requests: seconds, "5m", 0 to leave at once, -1 for ever. Default:
    what the registry says."""


class UnloadRequest(RequestBody):
    force: bool | None = None
    """Do not wait for running requests: they fail with `model_unloaded`. Default false."""
