"""Logprobs as OpenAI's two routes spell them."""

from typing_extensions import TypedDict


class TopLogprob(TypedDict):
    token: str
    logprob: float
    bytes: list[int] | None
    """UTF-8, a part of a character where that is what the token is; null for special tokens."""


class ChatTokenLogprob(TopLogprob):
    top_logprobs: list[TopLogprob]
    """As many as were asked for, likeliest first."""


class ChatLogprobs(TypedDict):
    content: list[ChatTokenLogprob]
    """The tokens that spell the answer: the one that ended it, and other special ones, are left out."""
    refusal: None


class CompletionLogprobs(TypedDict):
    """Four lists of the same length, an entry per token; with `echo`, those of the prompt come first."""

    tokens: list[str]
    token_logprobs: list[float | None]
    """Null for the first token of an echoed prompt, which nothing precedes."""
    top_logprobs: list[dict[str, float] | None]
    """The likeliest tokens and the token itself."""
    text_offset: list[int]
    """Characters of `text` before the token; in a stream, of all the pieces of the choice."""
