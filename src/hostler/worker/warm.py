"""What the forkserver does before it forks the first worker. It imports this module, and nothing else does."""

import atexit
import gc
import os
import shutil
import signal

import torch
from transformers import AutoModelForCausalLM
from transformers.conversion_mapping import get_checkpoint_conversion_mapping
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING

import hostler.worker.process  # noqa: F401  (so that workers find it imported)
from hostler.worker.launcher import FORKSERVER_FOLDER
from hostler.worker.orphans import adopt_orphans

_COMMON_TYPES = ("bart", "gpt2", "gpt_neox", "llama", "mistral", "opt", "qwen2", "qwen3", "t5")
"""Model types whose code workers find imported."""


def _make_ready() -> None:
    # A service manager's SIGTERM reaches the whole group. Workers are to live until the gateway ends them, and they end
    # with the forkserver; that ends by itself when the gateway has.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    adopt_orphans()
    if folder := os.environ.get(FORKSERVER_FOLDER):
        # Not run in workers: a forked process leaves by `os._exit`.
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _do_what_each_load_would()
    # A collection writes into every object that it looks at, and so copies the pages that workers share with this one.
    gc.collect()
    gc.freeze()


def _do_what_each_load_would() -> None:
    """Where transformers puts something off until a model is loaded and then keeps it: a thousand regular expressions,
    and the modules of models. Nothing here may ask for a GPU: no fork of a process that has asked can use one."""
    get_checkpoint_conversion_mapping("")
    # transformers makes every model of tensors without memory first, for which torch puts off a good deal as well.
    with torch.device("meta"):
        AutoModelForCausalLM.from_config(CONFIG_MAPPING["llama"](num_hidden_layers=1))
    for model_type in _COMMON_TYPES:
        config_class = CONFIG_MAPPING[model_type]
        for mapping in (MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING):
            mapping.get(config_class, None)


_make_ready()
