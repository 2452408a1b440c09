"""A model's own forward over flat batches, with `flat_attention` in the place of its attention."""

import torch
from transformers import PreTrainedModel

from hostler.engine.causal.flat_attention import NAME, FlatBatch
from hostler.engine.causal.slot_cache import SlotCache


class FlatForward:
    """Implements `hostler.engine.causal.flat_path.Forward`."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self.cache = SlotCache(model.config.get_text_config(decoder=True).num_hidden_layers)

    def logits(self, batch: FlatBatch, wanted: list[int]) -> torch.Tensor:
        config = self._model.config
        own_attention = config._attn_implementation
        self.cache.expect(batch)
        # Beam search goes through the same modules with the attention that the model was loaded with.
        config._attn_implementation = NAME
        try:
            result = self._model(
                input_ids=batch.token_ids.unsqueeze(0),
                position_ids=batch.positions.unsqueeze(0),
                past_key_values=self.cache,
                use_cache=True,
                logits_to_keep=torch.tensor(wanted, device=batch.token_ids.device, dtype=torch.long),
                flat_batch=batch,
            )
        finally:
            config._attn_implementation = own_attention
        logits: torch.Tensor = result.logits
        return logits[0]
