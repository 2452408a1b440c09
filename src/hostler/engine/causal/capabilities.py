"""How an architecture can be served, and how its forward is called."""

from dataclasses import dataclass
from enum import StrEnum

import torch
from transformers import DynamicCache, PreTrainedModel

from hostler.engine.row_cache import RowCache


class Batching(StrEnum):
    """How sequences share a model's forward passes."""

    FLAT = "flat"
    """All tokens of a step, of prompts too, are one pass."""
    ROWS = "rows"
    """Those that decode are rows of one batch."""
    ALONE = "alone"
    """Each has its own cache and its own pass."""


@dataclass(frozen=True)
class Capabilities:
    """How `CausalRunner` may use a model."""

    batching: Batching
    prefills_together: bool = False
    """Several whole prompts may be computed in one pass, padded on their left."""
    computes_chunks: bool = True
    """A prompt may be computed in pieces; otherwise all of it in one forward pass."""
    cache_argument: str = "past_key_values"
    """What `forward` calls the cache."""
    takes_attention_mask: bool = True
    takes_position_ids: bool = True
    takes_logits_to_keep: bool = True

    def forward(
        self,
        model: PreTrainedModel,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        position_ids: torch.Tensor,
        cache: DynamicCache | RowCache,
        *,
        num_logits: int = 1,
    ) -> torch.Tensor:
        """Logits after the last `num_logits` tokens of each row, `[num_rows, num_logits, vocab_size]`.

        `num_logits` 0 stands for all, as in transformers.
        """
        arguments: dict[str, object] = {"input_ids": input_ids, self.cache_argument: cache, "use_cache": True}
        # An argument that is not known would be swallowed unread, or refused.
        if self.takes_attention_mask:
            arguments["attention_mask"] = attention_mask
        if self.takes_position_ids:
            arguments["position_ids"] = position_ids
        if self.takes_logits_to_keep:
            arguments["logits_to_keep"] = num_logits
        logits: torch.Tensor = model(**arguments).logits
        return logits[:, -num_logits:]

    def new_cache(self, model: PreTrainedModel) -> DynamicCache:
        """An empty cache for one sequence; one that becomes a row keeps all keys, also those outside a window."""
        return DynamicCache() if self.batching is Batching.ROWS else DynamicCache(config=model.config)
