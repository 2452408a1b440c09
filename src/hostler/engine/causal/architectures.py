"""What an architecture allows the engine to do with it: read from its class, and measured where nobody has tested it.

Some forwards ignore the mask, some count positions from the cache's length, some forget their state between two pieces
of a prompt, and all of them do it without an error. So nothing is assumed of an architecture that the tests do not
know: a short prompt is computed in each way and held against the same prompt computed at once.
"""

import inspect
import logging
from dataclasses import replace

import torch
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from hostler.engine.causal.architecture_trial import ArchitectureTrial
from hostler.engine.causal.capabilities import Batching, Capabilities
from hostler.errors import ModelLoadError
from hostler.models.architecture import is_own_class

logger = logging.getLogger(__name__)

TESTED_FLAT = frozenset(
    (
        *("gemma", "gemma2", "gemma3_text", "gpt2", "gpt_neox", "llama", "mistral", "mixtral", "olmo2", "opt", "phi"),
        *("qwen2", "qwen2_moe", "qwen3"),
    )
)
TESTED_IN_ROWS = frozenset(("bloom", "codegen", "falcon", "gpt_neo", "gptj", "mpt", "stablelm", "xglm"))
"""Model types that `tests/engine/test_architectures.py` and `test_generation.py` hold against `generate` in batches, in
chunks and beyond their sliding windows. They are not measured at load."""
LENGTH_DEPENDENT_ROTATIONS = frozenset({"dynamic", "longrope"})
"""Rotary embeddings that change with the longest sequence of a pass: neighbours would change each other's answers."""


def capabilities_of(model: PreTrainedModel) -> Capabilities:
    """How a causal model in eval mode can be served.

    Raises:
        ModelLoadError: it cannot be; the message says why.
    """
    declared = _declared(model)
    ways = _ways_to_share(model)
    known = _known(model)
    if known in ways:
        # Told apart only here: prompts are padded on their left, which the trial does not try.
        return replace(declared, batching=known, prefills_together=known is Batching.ROWS)
    measured: Capabilities = _measured(model, declared, ways)
    logger.info(
        "architecture_measured type=%s batching=%s computes_chunks=%s",
        model.config.model_type,
        measured.batching,
        measured.computes_chunks,
    )
    return measured


def _declared(model: PreTrainedModel) -> Capabilities:
    """What the signature says, for sequences that share nothing."""
    accepted = inspect.signature(model.forward).parameters
    cache_arguments = [name for name in ("past_key_values", "cache_params") if name in accepted]
    if not cache_arguments:
        raise _unsupported(model, "it keeps no state from which an answer could be continued")
    return Capabilities(
        batching=Batching.ALONE,
        cache_argument=cache_arguments[0],
        # Mamba takes a mask for the prompt alone: a later one of full length multiplies the one token by all of it.
        takes_attention_mask="attention_mask" in accepted and cache_arguments[0] == "past_key_values",
        takes_position_ids="position_ids" in accepted,
        takes_logits_to_keep="logits_to_keep" in accepted,
    )


def _is_spread(model: PreTrainedModel) -> bool:
    """Whether its layers lie on several devices, between which the model's own forward carries its tensors."""
    return len(set(getattr(model, "hf_device_map", {}).values())) > 1


def _known(model: PreTrainedModel) -> Batching | None:
    """What the tests say of this class; `None` where they say nothing."""
    if not is_own_class(model):
        return None
    if model.config.model_type in TESTED_FLAT:
        return Batching.FLAT
    return Batching.ROWS if model.config.model_type in TESTED_IN_ROWS else None


def _ways_to_share(model: PreTrainedModel) -> list[Batching]:
    """Those which nothing in the class forbids, the best first."""
    accepted = inspect.signature(model.forward).parameters
    try:
        layers = DynamicCache(config=model.config).layers
    except Exception as exc:  # configs of remote code may be anything
        raise _unsupported(model, f"its state is of an unknown kind ({type(exc).__name__})") from exc
    # Exact classes: the layers of hybrid models are subclasses that remember more.
    keeps_only_keys_and_values = all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers)
    if not keeps_only_keys_and_values or "past_key_values" not in accepted or _rotates_by_length(model):
        return []
    known = _known(model)
    # No prompt that measures is longer than a window, so what happens beyond it stays unknown.
    is_windowed = any(isinstance(layer, DynamicSlidingWindowLayer) for layer in layers)
    # Without them positions come from the mask, as BLOOM's, or from the cache's length, as BART's, which padding makes
    # wrong, and by too little to be told from rounding where positions weigh little.
    is_told_positions = "position_ids" in accepted
    can_be_measured = is_told_positions and not is_windowed
    looks_attention_up = is_told_positions and "logits_to_keep" in accepted and model._can_set_attn_implementation()
    ways: list[Batching] = []
    if looks_attention_up and not _is_spread(model) and (can_be_measured or known is Batching.FLAT):
        ways.append(Batching.FLAT)
    if "attention_mask" in accepted and (can_be_measured or known is Batching.ROWS):
        ways.append(Batching.ROWS)
    return ways


def _rotates_by_length(model: PreTrainedModel) -> bool:
    """Whether positions are encoded by how long the longest sequence of a pass is."""
    kinds: set[object] = set()
    for module in model.modules():
        kind = getattr(module, "rope_type", None)
        # One for all layers, or one for each kind of layer.
        kinds.update(kind.values() if isinstance(kind, dict) else [kind])
    return not kinds.isdisjoint(LENGTH_DEPENDENT_ROTATIONS)


@torch.inference_mode()
def _measured(model: PreTrainedModel, declared: Capabilities, ways: list[Batching]) -> Capabilities:
    """`declared`, and the first of `ways` that proves right when it is tried."""
    alone = ArchitectureTrial(model, declared)
    if not alone.agrees(alone.step_by_step):
        raise _unsupported(model, "a sequence continued beside another differs from the same one computed at once")
    for batching in ways:
        trial = ArchitectureTrial(model, replace(declared, batching=batching))
        if trial.agrees(trial.in_flat_passes if batching is Batching.FLAT else trial.in_rows):
            break
    else:
        batching, trial = Batching.ALONE, alone
    return replace(declared, batching=batching, computes_chunks=trial.agrees(trial.in_chunks))


def _unsupported(model: PreTrainedModel, reason: str) -> ModelLoadError:
    return ModelLoadError(f"{type(model).__name__} cannot be served yet: {reason}")
