"""One request to a model that reads whole texts, while it is worked on."""

from dataclasses import dataclass, field
from typing import Any

from hostler.types import ANYBODY, Caller, PoolingParams


@dataclass(eq=False)
class PoolingSequence:
    """The tokens of one text, or of a pair of them."""

    request: "PoolingRequest"
    index: int
    """Among the sequences of its request."""
    token_ids: list[int]
    token_type_ids: list[int] | None = None
    """Which text of a pair each token is of; `None` where the model does not ask."""
    num_unpooled_tokens: int = 0
    """At its beginning: those of a prompt that is read and does not count."""

    @property
    def num_tokens(self) -> int:
        return len(self.token_ids)


@dataclass(eq=False)
class PoolingRequest:
    request_id: int
    params: PoolingParams
    caller: Caller = ANYBODY
    num_input_tokens: list[int] = field(default_factory=list)
    """Of each input, which may have a sequence, share one or have two."""
    sequences: list[PoolingSequence] = field(default_factory=list)
    pairs: list[tuple[int, int]] | None = None
    """Sequences whose vectors are compared, where that is how a score comes about; one pair for each input."""
    prepared_at: float = 0.0
    """When the last of its sequences was there; seconds of `time.perf_counter`."""
    queued_s: float | None = None
    """From then to its first step; `None` before it."""
    rows: dict[int, Any] = field(default_factory=dict)
    """By the index of the sequence, what the runner has computed; only it knows what that is."""

    @property
    def is_complete(self) -> bool:
        return len(self.rows) == len(self.sequences)
