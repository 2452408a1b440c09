"""What the forkserver does before it forks the first worker, so that none has to."""

import gc
import logging

import torch

_COMMON_TYPES = ("bart", "gpt2", "gpt_neox", "llama", "mistral", "opt", "qwen2", "qwen3", "t5")
"""Model types whose code workers find imported."""
_NUM_LAYERS = 32
"""As models of 7 billion parameters have; those of fewer have names of theirs as well."""

logger = logging.getLogger(__name__)


def make_ready() -> None:
    """Takes a few seconds, most of them for the imports that this module needs itself."""
    try:
        _do_what_each_load_would()
    except Exception:
        # What only saves time must never be why no model loads; another transformers may have it elsewhere.
        logger.warning("workers_not_warmed", exc_info=True)
    # A collection writes into every object that it looks at, and so copies the pages that workers share with this one.
    gc.collect()
    gc.freeze()


def _do_what_each_load_would() -> None:
    """What transformers puts off until a model is loaded and then keeps. Nothing here may ask for a GPU: no fork of a
    process that has asked can use one."""
    from transformers import AutoModelForCausalLM
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping
    from transformers.core_model_loading import WeightRenaming
    from transformers.models.auto import configuration_auto, modeling_auto

    # A thousand regular expressions.
    get_checkpoint_conversion_mapping("")
    for model_type in _COMMON_TYPES:
        config_class = configuration_auto.CONFIG_MAPPING[model_type]
        modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING.get(config_class, None)
        modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING.get(config_class, None)
    # transformers makes every model of tensors without memory first, for which torch puts off a good deal as well.
    config = configuration_auto.CONFIG_MAPPING["llama"](num_hidden_layers=_NUM_LAYERS)
    with torch.device("meta"):
        llama = AutoModelForCausalLM.from_config(config)
    # And a regular expression for the name of each weight. Mistral's, Qwen's and many others' are called as Llama's;
    # Python keeps the last 512.
    for name in llama.state_dict():
        WeightRenaming(name, name)
