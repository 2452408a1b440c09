"""`/v1/completions`: request, whole answer, chunks of a streamed one."""

from typing import Annotated, Any, Literal

import msgspec
from pydantic import Field, PlainValidator, ValidationInfo, WithJsonSchema, field_validator, model_validator
from typing_extensions import TypedDict

from hostler.errors import InvalidRequestError
from hostler.protocol.fields import MAX_TOKEN_ID, MAX_TOKENS, Integer
from hostler.protocol.openai import AnswerHead, ChunkHead, SamplingRequest, Usage
from hostler.protocol.openai_fields import COMPLETIONS_UNSUPPORTED, without_inert_fields
from hostler.protocol.openai_logprobs import CompletionLogprobs
from hostler.types import SamplingParams, TextPrompt, TokenPrompt

DEFAULT_MAX_TOKENS = 16
MAX_LOGPROBS = 5
MAX_BEST_OF = 20
MAX_SEQUENCES = 1024
"""Prompts times `n` or `best_of`: what one request may put into a model's queue."""

Prompts = list[TextPrompt | TokenPrompt]


def read_prompts(value: Any, most: int = MAX_SEQUENCES) -> Prompts:
    """One string, several, one list of token ids, or several: always a list of prompts, `most` of them at most."""
    if isinstance(value, str):
        return [TextPrompt(text=value)]
    if not isinstance(value, list) or not value:
        raise ValueError("Input should be a string, a list of strings, a list of token ids or a list of such lists")
    if len(value) > most and isinstance(value[0], str | list):
        raise ValueError(f"Input should have at most {most} prompts, not {len(value)}")
    if all(isinstance(item, str) for item in value):
        return [TextPrompt(text=text) for text in value]
    if all(isinstance(item, list) for item in value):
        return [TokenPrompt(token_ids=_token_ids(item)) for item in value]
    return [TokenPrompt(token_ids=_token_ids(value))]


def _token_ids(value: list[Any]) -> list[int]:
    if not value:
        raise ValueError("A list of token ids should not be empty")
    for token_id in value:
        if type(token_id) is not int or not 0 <= token_id <= MAX_TOKEN_ID:
            shown = token_id if type(token_id) is int else type(token_id).__name__
            raise ValueError(f"Token ids should be integers from 0 to {MAX_TOKEN_ID}, not {str(shown)[:40]}")
    return value


_TOKENS_SCHEMA = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1}
PROMPT_SCHEMA = {
    "anyOf": [
        {"type": "string"},
        {"type": "array", "items": {"type": "string"}, "minItems": 1},
        _TOKENS_SCHEMA,
        {"type": "array", "items": _TOKENS_SCHEMA, "minItems": 1},
    ]
}


class CompletionBody(SamplingRequest):
    """Text to continue; the model may be named by the path instead of by `model`."""

    model: str | None = None
    """A registered id or Hugging Face name."""
    prompt: Annotated[Prompts, PlainValidator(read_prompts), WithJsonSchema(PROMPT_SCHEMA)]
    """Several prompts are answered at once; the choices of the first come first."""
    max_tokens: Annotated[Integer, Field(ge=0, le=MAX_TOKENS)] | None = None
    """New tokens at most, per choice. 0, with `echo`: the prompt alone. Default 16."""
    logprobs: Annotated[Integer, Field(ge=0, le=MAX_LOGPROBS)] | None = None
    """Say of each token how likely the model held it to be, and of so many of its likeliest rivals."""
    echo: bool | None = None
    """Put the prompt before the answer; with `logprobs`, its tokens too."""
    best_of: Annotated[Integer, Field(ge=1, le=MAX_BEST_OF)] | None = None
    """Generate so many, at least `n`, and answer with the `n` whose tokens were likeliest on average."""

    @model_validator(mode="before")
    @classmethod
    def _without_inert_fields(cls, data: Any) -> Any:
        return without_inert_fields(data, COMPLETIONS_UNSUPPORTED)

    @field_validator("prompt")
    @classmethod
    def _bounded(cls, value: Prompts, info: ValidationInfo) -> Prompts:
        num_sequences = len(value) * (info.data.get("n") or 1)
        if num_sequences > MAX_SEQUENCES:
            raise ValueError(f"Prompts times n should be at most {MAX_SEQUENCES}, not {num_sequences}")
        return value

    @field_validator("best_of")
    @classmethod
    def _enough_and_not_streamed(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is None or "n" not in info.data or "stream" not in info.data:
            return value
        num_choices = info.data["n"] or 1
        if value < num_choices:
            raise ValueError(f"Input should be at least n, which is {num_choices}")
        if value > num_choices and info.data["stream"]:
            raise ValueError("Input should not be more than n when stream is true: the best is known at the end")
        if value * len(info.data.get("prompt", ())) > MAX_SEQUENCES:
            raise ValueError(f"Prompts times best_of should be at most {MAX_SEQUENCES}")
        return value

    @property
    def num_choices(self) -> int:
        """Choices to answer with, per prompt."""
        return self.n or 1

    def sampling_params(self, suggested_temperature: float = 1.0) -> SamplingParams:
        params = super().sampling_params(suggested_temperature)
        if params.max_tokens == 0 and not self.echo:
            raise InvalidRequestError(
                "max_tokens is 0, which leaves nothing to answer without echo", param="max_tokens"
            )
        num_sequences = self.best_of or self.num_choices
        is_ranked = num_sequences > self.num_choices
        if params.beams is not None and (is_ranked or self.logprobs is not None):
            name = "best_of" if is_ranked else "logprobs"
            raise InvalidRequestError(f"{name} is not available with num_beams; leave one of them out", param=name)
        return msgspec.structs.replace(
            params,
            n=num_sequences,
            logprobs=0 if is_ranked and self.logprobs is None else self.logprobs,
            prompt_logprobs=self.logprobs if self.echo else None,
        )

    def limit(self) -> int | None:
        return DEFAULT_MAX_TOKENS if self.max_tokens is None else self.max_tokens


class CompletionRequest(CompletionBody):
    """Text to continue."""

    model: str


CompletionFinishReason = Literal["stop", "length"]


class CompletionChoice(TypedDict):
    index: int
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: CompletionFinishReason


class Completion(AnswerHead):
    object: Literal["text_completion"]
    choices: list[CompletionChoice]
    usage: Usage


class CompletionChunkChoice(TypedDict):
    index: int
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: CompletionFinishReason | None


class CompletionChunk(ChunkHead):
    object: Literal["text_completion"]
    choices: list[CompletionChunkChoice]
