"""What an architecture allows the engine to do with it: read from its class, and measured where nobody has tested it.

Some forwards ignore the mask, some count positions from the cache's length, some forget their state between two pieces
of a prompt, and all of them do it without an error. So nothing is assumed of an architecture that the tests do not
know: a short prompt is computed in each way and held against the same prompt computed at once.
"""

import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import median

import torch
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from hostler.engine.row_cache import RowCache
from hostler.errors import ModelLoadError

logger = logging.getLogger(__name__)


class Batching(StrEnum):
    """How sequences share a model's forward passes."""

    ROWS = "rows"
    """Those that decode are rows of one batch."""
    ALONE = "alone"
    """Each has its own cache and its own pass."""


TESTED_IN_ROWS = frozenset(
    (
        *("bloom", "codegen", "falcon", "gemma", "gemma2", "gemma3_text", "gpt2", "gpt_neo", "gpt_neox", "gptj"),
        *("llama", "mistral", "mixtral", "mpt", "olmo2", "opt", "phi", "qwen2", "qwen2_moe", "qwen3", "stablelm"),
        "xglm",
    )
)
"""Model types that `tests/engine/test_architectures.py` and `test_generation.py` hold against `generate` in batches, in
chunks and beyond their sliding windows. They are not measured at load."""


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


def capabilities_of(model: PreTrainedModel) -> Capabilities:
    """How a causal model in eval mode can be served.

    Raises:
        ModelLoadError: it cannot be; the message says why.
    """
    declared = _declared(model)
    if declared.batching is Batching.ROWS and model.config.model_type in TESTED_IN_ROWS:
        return replace(declared, prefills_together=True)
    measured: Capabilities = _measured(model, declared)
    logger.info(
        "architecture_measured type=%s batching=%s computes_chunks=%s",
        model.config.model_type,
        measured.batching,
        measured.computes_chunks,
    )
    return measured


def _declared(model: PreTrainedModel) -> Capabilities:
    """What the signature and the layers of the cache say."""
    accepted = inspect.signature(model.forward).parameters
    cache_arguments = [name for name in ("past_key_values", "cache_params") if name in accepted]
    if not cache_arguments:
        raise _unsupported(model, "it keeps no state from which an answer could be continued")
    try:
        layers = DynamicCache(config=model.config).layers
    except Exception as exc:  # configs of remote code may be anything
        raise _unsupported(model, f"its state is of an unknown kind ({type(exc).__name__})") from exc
    # Exact classes: the layers of hybrid models are subclasses that remember more.
    keeps_only_keys_and_values = all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers)
    # No prompt that measures is longer than a window, so what happens beyond it stays unknown.
    is_windowed = any(isinstance(layer, DynamicSlidingWindowLayer) for layer in layers)
    # Without them positions come from the mask, as BLOOM's, or from the cache's length, as BART's, which padding makes
    # wrong, and by too little to be told from rounding where positions weigh little.
    is_told_positions = "position_ids" in accepted
    can_be_rows = (
        keeps_only_keys_and_values
        and cache_arguments[0] == "past_key_values"
        and "attention_mask" in accepted
        and ((is_told_positions and not is_windowed) or model.config.model_type in TESTED_IN_ROWS)
    )
    return Capabilities(
        batching=Batching.ROWS if can_be_rows else Batching.ALONE,
        cache_argument=cache_arguments[0],
        # Mamba takes a mask for the prompt alone: a later one of full length multiplies the one token by all of it.
        takes_attention_mask="attention_mask" in accepted and cache_arguments[0] == "past_key_values",
        takes_position_ids="position_ids" in accepted,
        takes_logits_to_keep="logits_to_keep" in accepted,
    )


@torch.inference_mode()
def _measured(model: PreTrainedModel, declared: Capabilities) -> Capabilities:
    """What holds of `declared` when it is tried."""
    trial = _Trial(model, declared)
    if not trial.agrees(trial.step_by_step):
        raise _unsupported(model, "a sequence continued beside another differs from the same one computed at once")
    is_batchable = declared.batching is Batching.ROWS and trial.agrees(trial.in_rows)
    return replace(
        declared,
        batching=Batching.ROWS if is_batchable else Batching.ALONE,
        computes_chunks=trial.agrees(trial.in_chunks),
    )


class _Trial:
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


def _unsupported(model: PreTrainedModel, reason: str) -> ModelLoadError:
    return ModelLoadError(f"{type(model).__name__} cannot be served yet: {reason}")
