"""Brings a model from safetensors into memory, ready to generate."""

import errno
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from hostler.errors import HostlerError, ModelLoadError
from hostler.models.architecture import choose_auto_class, choose_pooling_class, max_position, read_config
from hostler.models.json_files import read_json
from hostler.models.placement import choose_devices, choose_dtype, free_bytes
from hostler.models.source import LocalModel
from hostler.models.tokenizer import ReadTokenizer, read_tokenizer
from hostler.registry import ModelSpec
from hostler.types import ChatFormat, LoadProgress, ModelFacts, ModelType

logger = logging.getLogger(__name__)

_OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "Cannot allocate memory")
"""What torch, its allocators and the system say when there is none left."""


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory, in evaluation mode, without gradients."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    facts: ModelFacts
    folder: Path
    """Its files."""


def load_model(
    spec: ModelSpec,
    local: LocalModel,
    on_progress: Callable[[LoadProgress], None],
    read_tokenizer: ReadTokenizer = read_tokenizer,
) -> LoadedModel:
    """Load a model whose files are here as safetensors (see `hostler.models.prepare`).

    Raises:
        ModelLoadError: it cannot be loaded as asked; the message is for the caller, details are in the log.
    """
    started = time.monotonic()
    silence_transformers()
    weights = sorted(local.folder.glob("*.safetensors"))
    total_bytes = sum(file.stat().st_size for file in weights)
    on_progress(LoadProgress(stage="loading", total_bytes=total_bytes))
    with foreign_errors_translated(spec.name, total_bytes):
        devices = choose_devices(spec.device)
        dtype = choose_dtype(spec.torch_dtype, devices[0], is_pooling=spec.type.is_pooling)
        raw_config = read_json(local.folder / "config.json")
        config = read_config(local.folder, raw_config, trust_remote_code=spec.trust_remote_code, name=spec.name)
        # Who reads weights waits for memory, and for the disk, a good part of the time.
        with ThreadPoolExecutor(max_workers=2, thread_name_prefix="beside") as beside:
            beside.submit(_read_ahead, weights)
            tokenizer_loading = beside.submit(read_tokenizer, spec, local.folder)
            if spec.trust_remote_code:
                # Both would copy code of the repository into the same folder.
                tokenizer_loading.result()
            model = _load_weights(spec, local.folder, config, dtype, devices)
            tokenizer = tokenizer_loading.result()
        num_trainable_parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
        model.eval().requires_grad_(False)
    on_progress(LoadProgress(stage="loading", done_bytes=total_bytes, total_bytes=total_bytes))
    facts = ModelFacts(
        architecture=type(model).__name__,
        is_encoder_decoder=bool(config.is_encoder_decoder),
        chat_format=_choose_chat_format(spec, tokenizer),
        dtype=str(dtype).removeprefix("torch."),
        device=",".join(str(device) for device in devices),
        max_model_len=min(spec.max_length, max_position(config) or spec.max_length),
        num_parameters=sum(p.numel() for p in model.parameters()),
        num_trainable_parameters=num_trainable_parameters,
        memory_bytes=sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers())),
        load_s=time.monotonic() - started,
        revision=local.revision,
    )
    logger.info(
        "weights_loaded model=%s architecture=%s dtype=%s device=%s bytes=%d seconds=%.2f",
        spec.id,
        facts.architecture,
        facts.dtype,
        facts.device,
        facts.memory_bytes,
        facts.load_s,
    )
    return LoadedModel(model, tokenizer, facts, local.folder)


def silence_transformers() -> None:
    """No bars and no advice on stderr; what matters is checked here and said in errors of ours."""
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    # Its errors are lines of our log, in the form of all others.
    transformers.utils.logging.disable_default_handler()
    transformers.utils.logging.enable_propagation()


@contextmanager
def foreign_errors_translated(name: str, weights_bytes: int | None = None) -> Iterator[None]:
    """Turn whatever torch and transformers raise into `ModelLoadError`. Their own words may hold local paths, so
    they go to the log only. `weights_bytes`: what the model has, where that is known."""
    try:
        yield
    except HostlerError:
        raise
    except Exception as exc:
        logger.warning("model_not_loadable model=%s", name, exc_info=exc)
        raise ModelLoadError(f"{name} {_what_failed(exc, weights_bytes)}") from exc


def _what_failed(exc: Exception, weights_bytes: int | None) -> str:
    # Mapping a file, torch's CPU allocator and safetensors' writer have no error class of their own for these.
    is_out_of_memory = isinstance(exc, MemoryError | torch.OutOfMemoryError) or getattr(exc, "errno", 0) == errno.ENOMEM
    if is_out_of_memory or any(words in str(exc) for words in _OUT_OF_MEMORY):
        weights = f" (its weights have {weights_bytes} bytes)" if weights_bytes is not None else ""
        return (
            f"does not fit into the memory that is free{weights}; lower memory_budget, so that other models make"
            " room for it, set torch_dtype: bfloat16, or use a smaller model"
        )
    if (isinstance(exc, OSError) and exc.errno == errno.ENOSPC) or "No space left on device" in str(exc):
        return "could not be converted: no space is left on the disk; free some, or set HOSTLER_CACHE_DIR"
    if isinstance(exc, OSError):
        return "could not be loaded: a file is missing or damaged; the log says more"
    return f"could not be loaded ({type(exc).__name__}); the log says more"


def _read_ahead(files: Iterable[Path]) -> None:
    """Have the system read files that are about to be mapped. Whoever only touches their pages waits for the disk again
    and again, for little each time. Where it cannot be asked, that is so."""
    if not hasattr(os, "posix_fadvise"):
        return
    for file in files:
        with file.open("rb") as opened:
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)


def _load_weights(
    spec: ModelSpec, folder: Path, config: PreTrainedConfig, dtype: torch.dtype, devices: list[torch.device]
) -> PreTrainedModel:
    if spec.type.is_pooling:
        auto_class = choose_pooling_class(config, spec.type, name=spec.name)
    else:
        auto_class = choose_auto_class(config, name=spec.name)
    model, report = auto_class.from_pretrained(
        folder,
        config=config,
        dtype=dtype,
        use_safetensors=True,
        trust_remote_code=spec.trust_remote_code,
        local_files_only=True,
        output_loading_info=True,
        **_spread_over(devices),
    )
    # transformers fills what it does not find with random numbers and goes on.
    absent = [*report["missing_keys"], *report["mismatched_keys"]]
    if spec.type is ModelType.EMBEDDING:
        # BERT's head for the first token, which checkpoints of sentence encoders leave out and no pooling looks at.
        absent = [name for name in absent if not name.startswith("pooler.")]
    if absent:
        logger.warning("weights_incomplete model=%s tensors=%s", spec.id, absent)
        raise ModelLoadError(
            f"the weights of {spec.name} are incomplete: {len(absent)} tensors are missing or misshapen"
        )
    if len(devices) == 1:
        return model.to(devices[0])
    if not set(model.hf_device_map.values()) <= {device.index for device in devices}:
        # The rest would be fetched from the host, or the disk, in every step.
        raise ModelLoadError(f"{spec.name} does not fit into what is free on {spec.device}")
    return model


def _spread_over(devices: list[torch.device]) -> dict[str, Any]:
    """How `from_pretrained` is told to share the layers out; one device takes the whole model afterwards."""
    if len(devices) == 1:
        return {}
    return {"device_map": "balanced", "max_memory": {device.index: free_bytes(device) for device in devices}}


def _choose_chat_format(spec: ModelSpec, tokenizer: PreTrainedTokenizerBase) -> ChatFormat:
    template: Any = getattr(tokenizer, "chat_template", None)
    if template:
        return ChatFormat.TEMPLATE
    if spec.type is not ModelType.CONVERSATIONAL:
        return ChatFormat.PLAIN
    return ChatFormat.EOS_TURNS if "dialogpt" in spec.name.casefold() else ChatFormat.HUMAN_ASSISTANT
