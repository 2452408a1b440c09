"""The faster path for decoder-only models: every token of a step in one pass.

Sequences keep a slot from their first token to their last. Those that decode stand in the first slots, so that their
keys are one slice; a prompt that is complete changes places with the first that is not.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol

import torch
from transformers import PreTrainedModel

from hostler.engine.causal.flat_attention import FlatBatch, Piece
from hostler.engine.causal.flat_forward import FlatForward
from hostler.engine.causal.fused_forward import FusedForward, can_fuse
from hostler.engine.causal.path import Computed, States
from hostler.engine.causal.slot_cache import SlotCache
from hostler.engine.request import Request
from hostler.engine.sampling.logprobs import score_prompt
from hostler.engine.scheduler import SchedulerOutput


class Forward(Protocol):
    """A model's forward over flat batches, and the slots of its sequences."""

    cache: SlotCache

    def logits(self, batch: FlatBatch, wanted: list[int]) -> torch.Tensor:
        """After the tokens at these places of the batch, `[num_wanted, vocab_size]`.

        The keys and values of all its tokens are in the cache afterwards.
        """
        ...


class FlatPath:
    """Implements `CausalPath` for models that `hostler.engine.causal.architectures` finds fit for it."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._device: torch.device = model.device
        self._forward: Forward = FusedForward(model) if can_fuse(model) else FlatForward(model)
        self._cache = self._forward.cache
        self._slots: list[Request] = []
        self._num_decoding = 0
        """How many of the first slots' sequences have had their prompts computed."""
        self._lengths: dict[Request, int] = {}
        """Tokens in the cache, of each sequence that has a slot."""

    def compute(self, output: SchedulerOutput) -> Iterator[Computed]:
        scheduled = output.num_scheduled_tokens
        if not scheduled:
            return
        decoding = self._slots[: self._num_decoding]
        # The scheduler gives every running sequence its token before it gives prompts theirs.
        assert all(scheduled.get(request) == 1 for request in decoding)
        in_decoding = set(decoding)
        pieces = {request: count for request, count in scheduled.items() if request not in in_decoding}
        self._slots += [request for request in pieces if request not in self._lengths]
        last = self._last_tokens(pieces)
        wanted = [*range(len(decoding)), *last.values(), *self._scored(pieces)]
        logits = self._forward.logits(self._batch(decoding, pieces), wanted)
        self._lengths |= {request: request.num_computed_tokens + count for request, count in scheduled.items()}
        requests = [*decoding, *last]
        self._score_prompts(logits[len(requests) :], pieces)
        for request in last:
            self._promote(request)
        if requests:
            yield Computed(requests, logits[: len(requests)])

    def drop(self, requests: Iterable[Request]) -> None:
        for request in requests:
            if request in self._slots:
                self._leave(self._slots.index(request))
                self._lengths.pop(request, None)
        if not self._slots:
            self._cache.clear()

    def states(self, request: Request, num_tokens: int) -> States:
        return self._cache.states(self._slots.index(request), num_tokens)

    def adopt(self, request: Request, states: States) -> None:
        self._slots.append(request)
        self._lengths[request] = states[0][0].shape[2]
        self._cache.put(len(self._slots) - 1, states)

    def _batch(self, decoding: list[Request], pieces: dict[Request, int]) -> FlatBatch:
        """The pass that computes one token of each of `decoding` and the next so many of each of `pieces`."""
        token_ids: list[int] = []
        positions: list[int] = []
        slots: list[int] = []
        parts: list[Piece] = []
        counts = [*((request, 1) for request in decoding), *pieces.items()]
        for request, count in counts:
            start, slot = request.num_computed_tokens, self._slots.index(request)
            token_ids += request.token_ids(start, start + count)
            positions += range(start, start + count)
            slots += [slot] * count
            if request in pieces:
                parts.append(Piece(slot, start, start + count))
        return FlatBatch(
            token_ids=torch.tensor(token_ids, device=self._device),
            positions=torch.tensor(positions, device=self._device),
            slots=torch.tensor(slots, device=self._device),
            num_slots=len(self._slots),
            max_columns=max(positions) + 1,
            num_decoding=len(decoding),
            num_columns=max(positions[: len(decoding)], default=-1) + 1,
            pieces=parts,
        )

    def _last_tokens(self, pieces: dict[Request, int]) -> dict[Request, int]:
        """Where in the batch the last known token of a sequence is, of those whose pieces reach it."""
        last: dict[Request, int] = {}
        end = self._num_decoding
        for request, count in pieces.items():
            end += count
            if count == request.num_new_tokens:
                last[request] = end - 1
        return last

    def _scored(self, pieces: dict[Request, int]) -> Iterator[int]:
        """Where in the batch the tokens of prompts that are to be scored are."""
        start = self._num_decoding
        for request, count in pieces.items():
            if request.needs_prompt_scores:
                yield from range(start, start + count)
            start += count

    def _score_prompts(self, logits: torch.Tensor, pieces: dict[Request, int]) -> None:
        """`logits`: of the tokens that `_scored` found."""
        for request, count in pieces.items():
            if request.needs_prompt_scores:
                score_prompt(logits[:count], request, request.num_computed_tokens)
                logits = logits[count:]

    def _promote(self, request: Request) -> None:
        """Let a sequence decode from now on: its slot must follow those that do."""
        slot, first = self._slots.index(request), self._num_decoding
        if slot != first:
            other = self._slots[first]
            self._cache.swap(slot, first, max(self._lengths[request], self._lengths[other]))
            self._slots[slot], self._slots[first] = other, request
        self._num_decoding += 1

    def _leave(self, slot: int) -> None:
        """Free a slot; the last sequence that decodes takes it, and the last of all that one's."""
        if slot < self._num_decoding:
            self._num_decoding -= 1
            self._take(slot, self._num_decoding)
            slot = self._num_decoding
        self._take(slot, len(self._slots) - 1)
        self._slots.pop()

    def _take(self, slot: int, source: int) -> None:
        """Move the sequence in `source` to `slot`."""
        if slot != source:
            # A sequence whose first pass failed has nothing there.
            if num_tokens := self._lengths.get(self._slots[source]):
                self._cache.move(source, slot, num_tokens)
            self._slots[slot] = self._slots[source]
