"""`/v1/completions`: request, whole answer, chunks of a streamed one."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import PlainValidator, ValidationInfo, WithJsonSchema, field_validator, model_validator
from typing_extensions import TypedDict

from hostler.protocol.fields import MAX_TOKEN_ID
from hostler.protocol.openai import SamplingRequest, Usage
from hostler.protocol.openai_fields import COMPLETIONS_UNSUPPORTED, without_inert_fields
from hostler.types import TextPrompt, TokenPrompt

DEFAULT_MAX_TOKENS = 16
MAX_SEQUENCES = 1024
"""Prompts times `n`: what one request may put into a model's queue."""

Prompts = list[TextPrompt | TokenPrompt]


def _read_prompts(value: Any) -> Prompts:
    """One string, several, one list of token ids, or several: always a list of prompts."""
    if isinstance(value, str):
        return [TextPrompt(text=value)]
    if not isinstance(value, list) or not value:
        raise ValueError("Input should be a string, a list of strings, a list of token ids or a list of such lists")
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
_PROMPT_SCHEMA = {
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
    prompt: Annotated[Prompts, PlainValidator(_read_prompts), WithJsonSchema(_PROMPT_SCHEMA)]
    """Several prompts are answered at once; the choices of the first come first."""

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

    def limit(self) -> int | None:
        return DEFAULT_MAX_TOKENS if self.max_tokens is None else self.max_tokens


class CompletionRequest(CompletionBody):
    """Text to continue."""

    model: str


CompletionFinishReason = Literal["stop", "length"]


class CompletionChoice(TypedDict):
    index: int
    text: str
    logprobs: None
    finish_reason: CompletionFinishReason


class Completion(TypedDict):
    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[CompletionChoice]
    usage: Usage


class CompletionChunkChoice(TypedDict):
    index: int
    text: str
    logprobs: None
    finish_reason: CompletionFinishReason | None


class CompletionChunk(TypedDict):
    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[CompletionChunkChoice]
    usage: NotRequired[Usage | None]
    """There, and null but in the last chunk, when the usage was asked for."""
