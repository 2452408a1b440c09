"""What the forkserver does before it forks the first worker. It imports this module, and nothing else does."""

import atexit
import gc
import logging
import os
import shutil
import signal

import torch

import hostler.worker.process  # noqa: F401  (so that workers find it imported)
from hostler.worker.launcher import FORKSERVER_FOLDER
from hostler.worker.orphans import adopt_orphans

_COMMON_TYPES = ("bart", "gpt2", "gpt_neox", "llama", "mistral", "opt", "qwen2", "qwen3", "t5")
"""Model types whose code workers find imported."""
_NUM_LAYERS = 32
"""As models of 7 billion parameters have; those of fewer have names of theirs as well."""

logger = logging.getLogger(__name__)


def _make_ready() -> None:
    # A service manager's SIGTERM reaches the whole group. Workers are to live until the gateway ends them, and they end
    # with the forkserver; that ends by itself when the gateway has.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    adopt_orphans()
    if folder := os.environ.get(FORKSERVER_FOLDER):
        # Not run in workers: a forked process leaves by `os._exit`.
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
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


_make_ready()
