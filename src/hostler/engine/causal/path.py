"""What the causal runner asks of a way to compute: several sequences' tokens in, logits out."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import torch

from hostler.engine.request import Request
from hostler.engine.scheduler import SchedulerOutput


class Computed(NamedTuple):
    """What one forward pass gave."""

    requests: list[Request]
    """Those that the pass brought up to date."""
    logits: torch.Tensor
    """After the last token of each, `[num_requests, vocab_size]`, in the model's dtype."""


States = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values of a sequence's first tokens: for each layer `[1, num_kv_heads, num_tokens, head_dim]`."""


class CausalPath(Protocol):
    """Computes sequences and owns their keys and values."""

    def compute(self, output: SchedulerOutput) -> Iterator[Computed]:
        """Compute what is scheduled. Scores the prompts of requests that need it on the way."""
        ...

    def drop(self, requests: Iterable[Request]) -> None:
        """Forget what was computed of these sequences; unknown ones are ignored."""
        ...

    def states(self, request: Request, num_tokens: int) -> States:
        """A copy of what was computed of a sequence's first tokens, in no padding; the caller's own."""
        ...

    def adopt(self, request: Request, states: States) -> None:
        """Let a sequence begin with tokens that count as computed; their states are copied."""
        ...
