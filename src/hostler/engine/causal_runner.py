"""The generic path for decoder-only models: what every one of them accepts, and nothing else.

A prompt is computed alone, in chunks, in a cache of its own. Once it has its first token it becomes a row of the batch,
which decodes together. Where the model's state is not keys and values (state-space and hybrid models) sequences keep
their own caches and are computed one after the other.
"""

import inspect
from collections.abc import Iterable

import torch
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from hostler.engine.generation_rules import GenerationRules
from hostler.engine.request import Request
from hostler.engine.row_cache import RowCache
from hostler.engine.runner import NumericalFailure
from hostler.engine.sampler import Sampler
from hostler.engine.scheduler import SchedulerOutput


class CausalRunner:
    """Implements `ModelRunner` over a transformers causal model in eval mode."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._device: torch.device = model.device
        self._sampler = Sampler(self._device, GenerationRules(model.generation_config, self._device))
        accepted = inspect.signature(model.forward).parameters
        # BLOOM derives positions from the mask and would swallow the argument unread.
        self._takes_position_ids = "position_ids" in accepted
        self._takes_logits_to_keep = "logits_to_keep" in accepted
        self._can_batch = keeps_only_keys_and_values(model)
        self._own_caches: dict[Request, DynamicCache] = {}
        self._rows: list[Request] = []
        self._row_cache = RowCache()

    @torch.inference_mode()
    def execute(self, output: SchedulerOutput) -> dict[Request, int | NumericalFailure]:
        self._drop_caches(output.preempted)
        in_rows = set(self._rows)
        sampled: dict[Request, int | NumericalFailure] = {}
        if self._rows:
            # The scheduler gives every running sequence its token before it gives prompts theirs.
            assert in_rows <= output.num_scheduled_tokens.keys()
            sampled |= self._sampler.sample(self._decode_rows(), self._rows)
        for request, num_tokens in output.num_scheduled_tokens.items():
            if request in in_rows:
                continue
            is_up_to_date = num_tokens == request.num_new_tokens
            logits = self._compute_alone(request, num_tokens)
            if is_up_to_date:
                sampled |= self._sampler.sample(logits, [request])
                if self._can_batch:
                    self._join(request)
        return sampled

    @torch.inference_mode()
    def free(self, requests: Iterable[Request]) -> None:
        gone = list(requests)
        self._drop_caches(gone)
        for request in gone:
            self._sampler.free(request)

    def _drop_caches(self, requests: Iterable[Request]) -> None:
        for request in requests:
            self._own_caches.pop(request, None)
            if request in self._rows:
                row = self._rows.index(request)
                self._row_cache.leave(row)
                self._rows[row] = self._rows[-1]
                self._rows.pop()

    def _decode_rows(self) -> torch.Tensor:
        """One token for every row; `[num_rows, vocab_size]`."""
        last = [request.token_ids(request.num_computed_tokens, request.num_tokens) for request in self._rows]
        input_ids = torch.tensor(last, device=self._device)
        positions = torch.tensor(self._row_cache.row_lengths, device=self._device).unsqueeze(1)
        mask = self._row_cache.attention_mask(1, self._device)
        logits = self._forward(input_ids, mask, positions, self._row_cache)
        self._row_cache.grew(1)
        return logits

    def _compute_alone(self, request: Request, num_tokens: int) -> torch.Tensor:
        """The next tokens of one sequence in its own cache; `[1, vocab_size]` after the last of them."""
        start = request.num_computed_tokens
        cache = self._own_caches.get(request)
        if cache is None:
            cache = self._own_caches[request] = (
                DynamicCache() if self._can_batch else DynamicCache(config=self._model.config)
            )
        input_ids = torch.tensor([request.token_ids(start, start + num_tokens)], device=self._device)
        mask = torch.ones((1, start + num_tokens), dtype=torch.long, device=self._device)
        positions = torch.arange(start, start + num_tokens, device=self._device).unsqueeze(0)
        return self._forward(input_ids, mask, positions, cache)

    def _forward(
        self,
        input_ids: torch.Tensor,
        mask: torch.Tensor,
        positions: torch.Tensor,
        cache: DynamicCache | RowCache,
    ) -> torch.Tensor:
        """Logits after the last token of each row, `[num_rows, vocab_size]`."""
        arguments: dict[str, object] = {"input_ids": input_ids, "attention_mask": mask, "past_key_values": cache}
        if self._takes_position_ids:
            arguments["position_ids"] = positions
        if self._takes_logits_to_keep:
            arguments["logits_to_keep"] = 1
        logits: torch.Tensor = self._model(**arguments, use_cache=True).logits
        return logits[:, -1]

    def _join(self, request: Request) -> None:
        cache = self._own_caches.pop(request)
        self._row_cache.join([(layer.keys, layer.values) for layer in cache.layers])
        self._rows.append(request)


def keeps_only_keys_and_values(model: PreTrainedModel) -> bool:
    """Whether all that a model remembers of a sequence is one pair of keys and values per layer and token."""
    # Exact classes: the layers of hybrid models are subclasses that remember more.
    layers = DynamicCache(config=model.config).layers
    return all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers)
