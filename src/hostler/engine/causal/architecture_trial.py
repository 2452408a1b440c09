"""Tries on a loaded model what nobody has tested of its architecture: a short prompt, computed in each way."""

import logging
from collections.abc import Callable
from statistics import median

import torch
from transformers import DynamicCache, PreTrainedModel

from hostler.engine.causal.capabilities import Capabilities
from hostler.engine.causal.flat_attention import FlatBatch, Piece
from hostler.engine.causal.flat_forward import FlatForward
from hostler.engine.row_cache import RowCache

logger = logging.getLogger(__name__)


class ArchitectureTrial:
    """Ways to compute one short prompt; each gives how far its logits are from those of the prompt computed at once.

    A distance is the root mean square of the differences over the spread of the expected logits.
    """

    LENGTH = 8
    HALF = 4
    """Where the prompt is cut, and the length of the shorter row."""

    def __init__(self, model: PreTrainedModel, capabilities: Capabilities) -> None:
        self._model = model
        self._capabilities = capabilities
        config = model.config.get_text_config(decoder=True)
        special = {getattr(config, name, None) for name in ("pad_token_id", "bos_token_id")}
        ordinary = [token_id for token_id in range(self.LENGTH + 2) if token_id not in special]
        self._input_ids = torch.tensor([ordinary[: self.LENGTH]], device=model.device)
        # Rounding moves half precision by some hundredths; a lost state or a mask unread, by far more.
        self._tolerance = 3e-4 if model.dtype is torch.float32 else 0.1
        self._expected: torch.Tensor | None = None

    def agrees(self, way: Callable[[], float]) -> bool:
        """Whether a way gives what is expected. One that raises does not."""
        try:
            if self._expected is None:
                self._expected = self._compute(self._capabilities.new_cache(self._model), 0, self.LENGTH)
            distance = way()
        except Exception as exc:
            logger.info("architecture_trial_failed way=%s", way.__name__, exc_info=exc)
            return False
        return distance < self._tolerance

    def step_by_step(self) -> float:
        """Tokens of the second half one by one, after another sequence was computed in between."""
        cache = self._capabilities.new_cache(self._model)
        self._compute(cache, 0, self.HALF)
        # RecurrentGemma keeps its state in its modules, where the next sequence overwrites it.
        self._compute(self._capabilities.new_cache(self._model), 0, self.HALF, self._input_ids.flip(1))
        distances = [
            self._distance(self._compute(cache, position, position + 1), position)
            for position in range(self.HALF, self.LENGTH - 1)
        ]
        # Not the largest: in half precision a router may send a token to another expert, and that is no error.
        return median(distances)

    def in_chunks(self) -> float:
        """The second half in one piece."""
        cache = self._capabilities.new_cache(self._model)
        self._compute(cache, 0, self.HALF)
        return self._distance(self._compute(cache, self.HALF, self.LENGTH), self.LENGTH - 1)

    def in_rows(self) -> float:
        """Two sequences of different length, each one token further, in one batch."""
        rows = RowCache()
        last = [self.LENGTH - 1, self.HALF]
        for position in last:
            cache = self._capabilities.new_cache(self._model)
            self._compute(cache, 0, position)
            rows.join([(layer.keys, layer.values) for layer in cache.layers])
        positions = torch.tensor(last, device=self._model.device).unsqueeze(1)
        mask = rows.attention_mask(1, self._model.device)
        input_ids = self._input_ids[0, positions]
        logits = self._capabilities.forward(self._model, input_ids, mask, positions, rows)
        return max(self._distance(logits[row], position) for row, position in enumerate(last))

    def in_flat_passes(self) -> float:
        """The same two as pieces of one pass, with half of a third; then each a token further, and that one's rest."""
        forward = FlatForward(self._model)
        last, third = [self.LENGTH - 1, self.HALF], 2
        forward.logits(self._flat_batch([], [*((slot, 0, stop) for slot, stop in enumerate(last)), (third, 0, 2)]), [])
        batch = self._flat_batch(last, [(third, 2, self.HALF)])
        ends = [*last, self.HALF - 1]
        logits = forward.logits(batch, [0, 1, len(batch.token_ids) - 1])
        return max(self._distance(logits[row : row + 1], position) for row, position in enumerate(ends))

    def _flat_batch(self, decoding: list[int], pieces: list[tuple[int, int, int]]) -> FlatBatch:
        """`decoding`: positions, in slots from 0 on. `pieces`: slot, start and stop. All have the same prompt."""
        pairs = list(enumerate(decoding))
        pairs += [(slot, position) for slot, start, stop in pieces for position in range(start, stop)]
        slots, positions = (torch.tensor(column, device=self._model.device) for column in zip(*pairs, strict=True))
        return FlatBatch(
            token_ids=self._input_ids[0, positions],
            positions=positions,
            slots=slots,
            num_slots=int(slots.max()) + 1,
            max_columns=int(positions.max()) + 1,
            num_decoding=len(decoding),
            num_columns=max(decoding, default=-1) + 1,
            pieces=[Piece(*piece) for piece in pieces],
        )

    def _compute(
        self, cache: DynamicCache, start: int, stop: int, input_ids: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Tokens `start` to `stop` in their cache, the prompt's unless given; logits `[stop - start, vocab_size]`."""
        input_ids = self._input_ids if input_ids is None else input_ids
        positions = torch.arange(start, stop, device=self._model.device).unsqueeze(0)
        mask = torch.ones((1, stop), dtype=torch.long, device=self._model.device)
        return self._capabilities.forward(self._model, input_ids[:, start:stop], mask, positions, cache, num_logits=0)[
            0
        ]

    def _distance(self, logits: torch.Tensor, position: int) -> float:
        """Of the last of `logits`, which is the one after `position`."""
        assert self._expected is not None
        expected = self._expected[position].float()
        return float((logits[-1].float() - expected).square().mean().sqrt() / expected.std())
