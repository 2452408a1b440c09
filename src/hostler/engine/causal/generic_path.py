"""The generic path for decoder-only models: what every one of them accepts, and nothing else.

Prompts that are finished in the same step are computed together; one that is too long for a step alone, in chunks, in a
cache of its own. Once a prompt has its first token it becomes a row of the batch, which decodes together. Where
`hostler.engine.causal.architectures` finds that a model cannot be batched (state-space and hybrid models, among others)
sequences keep their own caches and are computed one after the other.
"""

from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter

import torch
from transformers import DynamicCache, PreTrainedModel

from hostler.engine.causal.capabilities import Batching, Capabilities
from hostler.engine.causal.path import Computed, States
from hostler.engine.request import Request
from hostler.engine.row_cache import RowCache
from hostler.engine.sampling.logprobs import score_prompt
from hostler.engine.scheduler import SchedulerOutput
from hostler.models.architecture import max_position

MAX_PADDING = 1.5
"""Prompts are put together as long as padding makes the batch no larger than so many times their tokens."""


class GenericPath:
    """Implements `CausalPath` over the model's own forward."""

    def __init__(self, model: PreTrainedModel, capabilities: Capabilities) -> None:
        self._model = model
        self._device: torch.device = model.device
        self._capabilities = capabilities
        self._can_batch = capabilities.batching is Batching.ROWS
        self._own_caches: dict[Request, DynamicCache] = {}
        self._rows: list[Request] = []
        self._row_cache = RowCache(max_columns=max_position(model.config))

    def compute(self, output: SchedulerOutput) -> Iterator[Computed]:
        in_rows = set(self._rows)
        if self._rows:
            # The scheduler gives every running sequence its token before it gives prompts theirs.
            assert in_rows <= output.num_scheduled_tokens.keys()
            yield Computed(list(self._rows), self._decode_rows())
        groups = self._groups(output)
        for group in groups:
            yield Computed(group, self._compute_prompts(group))
        done = in_rows.union(*groups)
        for request, num_tokens in output.num_scheduled_tokens.items():
            if request in done:
                continue
            is_up_to_date = num_tokens == request.num_new_tokens
            if not (is_up_to_date or self._capabilities.computes_chunks):
                continue
            logits = self._compute_alone(request, num_tokens)
            if is_up_to_date:
                if self._can_batch:
                    self._join(request)
                yield Computed([request], logits)

    def drop(self, requests: Iterable[Request]) -> None:
        for request in requests:
            self._own_caches.pop(request, None)
            if request in self._rows:
                row = self._rows.index(request)
                self._row_cache.leave(row)
                self._rows[row] = self._rows[-1]
                self._rows.pop()

    def states(self, request: Request, num_tokens: int) -> States:
        if request in self._rows:
            return self._row_cache.states(self._rows.index(request), num_tokens)
        own = slice(None), slice(None), slice(num_tokens)
        return [(layer.keys[own].clone(), layer.values[own].clone()) for layer in self._own_caches[request].layers]

    def adopt(self, request: Request, states: States) -> None:
        cache = self._own_caches[request] = self._capabilities.new_cache(self._model)
        for index, (keys, values) in enumerate(states):
            cache.update(keys, values, index)

    def _decode_rows(self) -> torch.Tensor:
        """One token for every row; `[num_rows, vocab_size]`."""
        self._row_cache.make_room(1)
        last = [request.token_ids(request.num_computed_tokens, request.num_tokens) for request in self._rows]
        input_ids = torch.tensor(last, device=self._device)
        positions = torch.tensor(self._row_cache.row_lengths, device=self._device).unsqueeze(1)
        mask = self._row_cache.attention_mask(1, self._device)
        logits = self._forward(input_ids, mask, positions, self._row_cache)
        self._row_cache.grew(1)
        return logits

    def _groups(self, output: SchedulerOutput) -> list[list[Request]]:
        """Sequences that share a pass in which the last of their known tokens is computed, to become rows."""
        if not self._capabilities.prefills_together:
            return []
        last = [
            request
            for request, num_tokens in output.num_scheduled_tokens.items()
            if num_tokens == request.num_new_tokens and request not in self._rows and not request.needs_prompt_scores
        ]
        new = [request for request in last if request.num_computed_tokens == 0]
        begun = [request for request in last if request in self._own_caches]
        # Both what is in their caches and what is not should be of similar length.
        begun_groups = [group for similar in alike(begun) for group in alike(similar, attrgetter("num_new_tokens"))]
        return [*alike(new), *(group for group in begun_groups if len(group) > 1)]

    def _compute_prompts(self, requests: list[Request]) -> torch.Tensor:
        """The rest of sequences in one pass, each of which becomes a row; `[num_requests, vocab_size]`.

        All end at the same column and have as many tokens computed, so that padding stands on the left alone. Of those
        that lack fewer, some are thus computed again.
        """
        lengths = torch.tensor([request.num_tokens for request in requests], device=self._device).unsqueeze(1)
        num_columns = int(lengths.max())
        num_new = max(request.num_new_tokens for request in requests)
        tokens = [request.token_ids(max(0, request.num_tokens - num_new), request.num_tokens) for request in requests]
        input_ids = torch.tensor([[0] * (num_new - len(own)) + own for own in tokens], device=self._device)
        positions = torch.arange(num_columns, device=self._device) - (num_columns - lengths)
        mask = (positions >= 0).long()
        cache = self._padded_cache(requests, num_columns - num_new)
        logits = self._forward(input_ids, mask, positions[:, -num_new:].clamp(min=0), cache)
        for row, request in enumerate(requests):
            own = slice(row, row + 1), slice(None), slice(num_columns - request.num_tokens, None)
            self._row_cache.join([(layer.keys[own], layer.values[own]) for layer in cache.layers])
            self._rows.append(request)
            self._own_caches.pop(request, None)
        return logits

    def _padded_cache(self, requests: list[Request], num_columns: int) -> DynamicCache:
        """What is computed of sequences, each cut so that the longest ends at the last column; theirs are untouched."""
        cache = DynamicCache()
        if num_columns == 0:
            return cache
        longest = max(request.num_tokens for request in requests)
        lengths = [max(0, num_columns - (longest - request.num_tokens)) for request in requests]
        for index, layer in enumerate(self._own_caches[requests[0]].layers):
            keys = layer.keys.new_zeros((len(requests), layer.keys.shape[1], num_columns, layer.keys.shape[3]))
            values = layer.values.new_zeros((len(requests), layer.values.shape[1], num_columns, layer.values.shape[3]))
            for row, (request, length) in enumerate(zip(requests, lengths, strict=True)):
                own = self._own_caches[request].layers[index]
                keys[row, :, num_columns - length :] = own.keys[0, :, :length]
                values[row, :, num_columns - length :] = own.values[0, :, :length]
            cache.update(keys, values, index)
        return cache

    def _compute_alone(self, request: Request, num_tokens: int) -> torch.Tensor:
        """The next tokens of one sequence in its own cache; `[1, vocab_size]` after the last of them."""
        start, stop = request.num_computed_tokens, request.num_computed_tokens + num_tokens
        cache = self._own_caches.get(request)
        if cache is None:
            # Nothing was computed yet, though it may count as computed: chunks that the model cannot take were left.
            start = 0
            cache = self._own_caches[request] = self._capabilities.new_cache(self._model)
        input_ids = torch.tensor([request.token_ids(start, stop)], device=self._device)
        mask = torch.ones((1, stop), dtype=torch.long, device=self._device)
        positions = torch.arange(start, stop, device=self._device).unsqueeze(0)
        if not request.needs_prompt_scores:
            return self._forward(input_ids, mask, positions, cache)
        logits = self._capabilities.forward(self._model, input_ids, mask, positions, cache, num_logits=0)
        score_prompt(logits[0], request, start)
        return logits[:, -1]

    def _forward(
        self,
        input_ids: torch.Tensor,
        mask: torch.Tensor,
        positions: torch.Tensor,
        cache: DynamicCache | RowCache,
    ) -> torch.Tensor:
        """Logits after the last token of each row, `[num_rows, vocab_size]`."""
        return self._capabilities.forward(self._model, input_ids, mask, positions, cache)[:, -1]

    def _join(self, request: Request) -> None:
        cache = self._own_caches.pop(request)
        self._row_cache.join([(layer.keys, layer.values) for layer in cache.layers])
        self._rows.append(request)


def alike(
    requests: list[Request], length_of: Callable[[Request], int] = attrgetter("num_tokens")
) -> Iterator[list[Request]]:
    """Sequences in groups of similar length, none of which is mostly padding."""
    group: list[Request] = []
    for request in sorted(requests, key=length_of):
        num_tokens = length_of(request) + sum(length_of(member) for member in group)
        if group and length_of(request) * (len(group) + 1) > MAX_PADDING * num_tokens:
            yield group
            group = []
        group.append(request)
    if group:
        yield group
