"""What may be asked of an answer; what is left out is the server's default."""

from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import TypedDict

from hostler.types import EarlyStopping

Messages = Sequence[Mapping[str, object]]
"""A conversation as OpenAI spells it: `{"role": "user", "content": "Hi"}`, one after the other."""


class SamplingOptions(TypedDict, total=False):
    """Of any answer that is written. At most one of the last four."""

    max_length: int
    max_new_tokens: int
    temperature: float
    """0 is greedy."""
    top_p: float
    top_k: int
    do_sample: bool
    num_beams: int
    length_penalty: float
    early_stopping: EarlyStopping
    seed: int
    stop: str | list[str]
    skip_special_tokens: bool
    priority: int
    """Lower ones pass those of the same caller that wait."""
    keep_alive: float | str
    """How long the model stays after its last request: seconds, "5m", 0, or -1 for ever."""
    json_schema: dict[str, Any]
    """The answer is JSON that fits."""
    regex: str
    """Of the whole answer."""
    choice: list[str]
    """The answer is one of these."""
    grammar: str
    """Lark's form or GBNF."""


class GenerateOptions(SamplingOptions, total=False):
    """Besides, for `generate`."""

    num_return_sequences: int


class EmbedOptions(TypedDict, total=False):
    """Of vectors."""

    dimensions: int
    """The first so many numbers of each, made one of length 1 again."""
    input_type: str
    """Name of the model's prompt that is put before each text, such as `query`."""
    truncate_prompt_tokens: int
    """Cut each text to so many tokens; -1: to what the model takes. Without it, one that is too long is an error."""
    keep_alive: float | str


class ReadingOptions(TypedDict, total=False):
    """Of scores and labels."""

    truncate_prompt_tokens: int
    """As in `EmbedOptions`; of a pair, of both texts together."""
    keep_alive: float | str


class RerankOptions(ReadingOptions, total=False):
    """Besides, of a ranking."""

    top_n: int
    """So many of the best."""
    return_documents: bool
    """Put each document beside its score."""


class LoadOptions(TypedDict, total=False):
    """Of a load."""

    force_reload: bool
    """Load it anew if it is loaded."""
    keep_alive: float | str | None
    """How long it stays without requests: seconds, "5m", 0, or -1 for ever."""
    pinned: bool | None
    """Whether it stays until it is told to leave."""
