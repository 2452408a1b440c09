"""What the requests and answers of OpenAI's interface have in common."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from typing_extensions import TypedDict

from hostler.errors import InvalidRequestError
from hostler.protocol.beams import BeamFields
from hostler.protocol.constraints import ResponseFormat, check_constrained, constraint_of
from hostler.protocol.fields import (
    Integer,
    KeepAlive,
    Penalty,
    Priority,
    Probability,
    Seed,
    Stop,
    StopTokenIds,
    Temperature,
    TokenCount,
    given,
)
from hostler.types import SamplingParams

MAX_CHOICES = 128
MAX_LOGIT_BIAS = 1024
"""Entries. Each is added to the logits of every step."""


class StreamOptions(BaseModel):
    """Keys that other servers added are accepted and change nothing."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    include_usage: bool | None = None
    """Send one more chunk with the usage, before the end."""


class SamplingRequest(BeamFields):
    """The parameters that both OpenAI routes take. `null` is the default, everywhere."""

    temperature: Temperature | None = None
    """0 is greedy. Default: what the registry suggests for the model."""
    top_p: Probability | None = None
    """Default 1."""
    n: Annotated[Integer, Field(ge=1, le=MAX_CHOICES)] | None = None
    """Answers to generate. Default 1."""
    max_tokens: TokenCount | None = None
    stop: Stop | None = None
    """One string or several; none of them is part of the answer."""
    seed: Seed | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    """Token id, as a string, to what is added to its logit."""
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    top_k: Annotated[Integer, Field(ge=-1, le=2**31 - 1)] | None = None
    """Extension. 0 and -1: all tokens."""
    min_p: Probability | None = None
    """Extension."""
    typical_p: Annotated[float, Field(gt=0, le=1)] | None = None
    """Extension. As in transformers; 1 is off."""
    repetition_penalty: Annotated[float, Field(ge=0.01, le=100)] | None = None
    """Extension. As in transformers: prompt tokens count too."""
    min_tokens: Annotated[Integer, Field(ge=0, le=2**31 - 1)] | None = None
    """Extension. No end before so many tokens."""
    stop_token_ids: StopTokenIds | None = None
    """Extension."""
    ignore_eos: bool | None = None
    """Extension. Go on to `max_tokens`."""
    skip_special_tokens: bool | None = None
    """Extension. Leave special tokens out of the text. Default true."""
    response_format: ResponseFormat | None = None
    """JSON, of a schema or of any; for completions, an extension. What is cut short at `max_tokens` is the beginning of
    such a text."""
    priority: Priority | None = None
    """Extension. Of the requests that wait for the model's next step, lower numbers are served first. Default 0."""

    keep_alive: KeepAlive | None = None
    """Extension. How long the model stays in memory after its last request, from now on: seconds, "5m", 0 to leave at
    once, -1 for ever. Default: what the registry says."""

    @field_validator("logit_bias", mode="before")
    @classmethod
    def _not_too_many(cls, value: Any) -> Any:
        if isinstance(value, dict) and len(value) > MAX_LOGIT_BIAS:
            raise ValueError(f"Input should have at most {MAX_LOGIT_BIAS} entries, not {len(value)}")
        return value

    @field_validator("logit_bias")
    @classmethod
    def _token_ids_only(cls, value: dict[str, float] | None) -> dict[str, float] | None:
        for key in value or {}:
            if not (key.isascii() and key.isdigit() and len(key) < 10):
                raise ValueError(f"Keys should be token ids, not {key[:40]!r}")
        return value

    @field_validator("stream_options")
    @classmethod
    def _only_with_stream(cls, value: StreamOptions | None, info: ValidationInfo) -> StreamOptions | None:
        if value is not None and "stream" in info.data and not info.data["stream"]:
            raise ValueError("Input is allowed only when stream is true")
        return value

    @property
    def includes_usage(self) -> bool:
        """Whether a stream is to end with a chunk that has the usage."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    def sampling_params(self, suggested_temperature: float = 1.0) -> SamplingParams:
        """The request in Hostler's vocabulary, whose defaults are OpenAI's, but for the temperature.

        OpenAI's own models do well at 1; small ones ramble there, to the end of their context.
        """
        max_tokens = self.limit()
        beams = self.beams(self.n or 1)
        if beams is not None:
            suggested_temperature = 0.0
        if self.min_tokens is not None and max_tokens is not None and self.min_tokens > max_tokens:
            raise InvalidRequestError(
                f"min_tokens is {self.min_tokens}, more than the {max_tokens} tokens that the answer may have",
                param="min_tokens",
            )
        params = SamplingParams(
            **given(
                n=self.n,
                beams=beams,
                max_tokens=max_tokens,
                min_tokens=self.min_tokens,
                temperature=suggested_temperature if self.temperature is None else self.temperature,
                top_p=self.top_p,
                top_k=None if self.top_k is None else max(self.top_k, 0),
                min_p=self.min_p,
                typical_p=self.typical_p,
                repetition_penalty=self.repetition_penalty,
                presence_penalty=self.presence_penalty,
                frequency_penalty=self.frequency_penalty,
                logit_bias=None if self.logit_bias is None else {int(key): v for key, v in self.logit_bias.items()},
                seed=self.seed,
                stop=self.stop,
                stop_token_ids=self.stop_token_ids,
                ignore_eos=self.ignore_eos,
                skip_special_tokens=self.skip_special_tokens,
                constraint=constraint_of(self.response_format),
            )
        )
        return check_constrained(params)

    def limit(self) -> int | None:
        """New tokens at most; `None`: to the end of the context."""
        return self.max_tokens


class PromptTokensDetails(TypedDict):
    cached_tokens: int
    """Of the prompt, what had been computed for an earlier request and was not computed again."""


class CompletionTokensDetails(TypedDict):
    reasoning_tokens: int


class Usage(TypedDict):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails


def usage_of(
    num_prompt_tokens: int, num_completion_tokens: int, num_cached_tokens: int, num_reasoning_tokens: int = 0
) -> Usage:
    return Usage(
        prompt_tokens=num_prompt_tokens,
        completion_tokens=num_completion_tokens,
        total_tokens=num_prompt_tokens + num_completion_tokens,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=num_cached_tokens),
        completion_tokens_details=CompletionTokensDetails(reasoning_tokens=num_reasoning_tokens),
    )


class AnswerHead(TypedDict):
    """What answers of both routes have in common."""

    id: str
    created: int
    """Unix seconds; the same in all chunks of an answer."""
    model: str
    system_fingerprint: str


class ChunkHead(AnswerHead):
    """The same of a chunk."""

    usage: NotRequired[Usage | None]
    """There, and null but in the last chunk, when the usage was asked for."""


class Model(TypedDict):
    id: str
    object: Literal["model"]
    created: int
    """Unix seconds."""
    owned_by: str


class ModelList(TypedDict):
    object: Literal["list"]
    data: list[Model]


class Error(TypedDict):
    """All four keys are always there."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(TypedDict):
    error: Error
