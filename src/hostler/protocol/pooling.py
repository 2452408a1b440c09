"""What the requests for vectors, scores and labels have in common."""

from typing import Annotated, Any

from pydantic import Field, PlainValidator, WithJsonSchema

from hostler.protocol.fields import MAX_TOKENS, Integer, KeepAlive, RequestBody
from hostler.protocol.openai_completions import PROMPT_SCHEMA, Prompts, read_prompts
from hostler.types import TextPrompt, TokenPrompt

MAX_INPUTS = 2048
"""Texts, documents or pairs of one request; OpenAI's bound for embeddings."""

_EMPTY = "Input should not be an empty string"


def _read_inputs(value: Any) -> Prompts:
    prompts = read_prompts(value, most=MAX_INPUTS)
    for place, prompt in enumerate(prompts):
        if isinstance(prompt, TextPrompt) and not prompt.text:
            raise ValueError(_EMPTY if len(prompts) == 1 else f"{_EMPTY}, as number {place} is")
    return prompts


def read_texts(value: Any) -> list[str]:
    """
    Raises:
        ValueError: it is no list of texts that are not empty, or holds none, or more than `MAX_INPUTS`.
    """
    if not isinstance(value, list) or not value:
        raise ValueError("Input should be a list of at least one string")
    if len(value) > MAX_INPUTS:
        raise ValueError(f"Input should have at most {MAX_INPUTS} items, not {len(value)}")
    for place, text in enumerate(value):
        if not isinstance(text, str):
            raise ValueError(f"Input should be a list of strings, which number {place} is not")
        if not text:
            raise ValueError(f"{_EMPTY}, as number {place} is")
    return value


Inputs = Annotated[list[TextPrompt | TokenPrompt], PlainValidator(_read_inputs), WithJsonSchema(PROMPT_SCHEMA)]
"""One string or several, one list of token ids or several."""
Text = Annotated[str, Field(min_length=1)]
TEXT_SCHEMA = {"type": "string", "minLength": 1}
TEXTS_SCHEMA = {"type": "array", "items": TEXT_SCHEMA, "minItems": 1, "maxItems": MAX_INPUTS}


class PoolingRequest(RequestBody):
    """The model may be named by the path instead of by `model`."""

    model: str | None = None
    """A registered id or Hugging Face name."""
    truncate_prompt_tokens: Annotated[Integer, Field(ge=-1, le=MAX_TOKENS)] | None = None
    """Extension, vLLM's. Cut each input to so many tokens, special ones included; -1: to what the model takes.
    Default: what is too long is an error."""
    user: str | None = None
    """Changes nothing."""
    keep_alive: KeepAlive | None = None
    """Extension. How long the model stays in memory after its last request, from now on: seconds, "5m", 0 to leave at
    once, -1 for ever. Default: what the registry says."""
