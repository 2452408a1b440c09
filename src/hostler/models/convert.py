"""Converts GGUF and pickled weights to safetensors, once; later loads map the result."""

import functools
import json
import logging
import pickle
import shutil
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import torch
from filelock import FileLock, Timeout
from safetensors.torch import save_file
from transformers import AutoConfig, AutoTokenizer, GgufConfig, modeling_gguf_pytorch_utils

from hostler.errors import ModelLoadError
from hostler.models.architecture import choose_auto_class
from hostler.models.converted import converted_folder
from hostler.models.loader import foreign_errors_translated, silence_transformers
from hostler.models.repository_files import WeightsFormat, choose_supporting_files, choose_weights
from hostler.models.source import LocalModel
from hostler.types import LoadProgress

logger = logging.getLogger(__name__)

_TEMPORARY_PREFIX = ".converting-"

OnProgress = Callable[[LoadProgress], None]


def convert(local: LocalModel, cache: Path, on_progress: OnProgress, *, name: str) -> LocalModel:
    """The same model as safetensors: converted into a folder of `cache` now, or earlier.

    The folder appears at once and complete, whatever happens on the way; of two processes that want the same model,
    one converts it and the other waits. `name` is what errors and log lines call the model.

    Raises:
        ModelLoadError: the file is damaged, of an unknown architecture, or a pickle that wants to run code.
    """
    target = converted_folder(local, cache, name=name)
    converted = replace(local, folder=target, weights_format=WeightsFormat.SAFETENSORS, gguf_file=None)
    if target.is_dir():
        return converted
    silence_transformers()
    with foreign_errors_translated(name):
        cache.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(cache)
        temporary = cache / f"{_TEMPORARY_PREFIX}{target.name}"
        with _lock_of(temporary):
            if not target.is_dir():
                _convert_into(temporary, local, on_progress, name)
                temporary.rename(target)
    return converted


def _lock_of(temporary: Path) -> FileLock:
    """Held by whoever writes into a temporary folder; the system takes it back when that process ends."""
    return FileLock(f"{temporary}.lock")


def _remove_abandoned(cache: Path) -> None:
    """What processes that were killed have left."""
    for folder in cache.glob(f"{_TEMPORARY_PREFIX}*"):
        if folder.suffix == ".lock":
            continue
        with suppress(Timeout), _lock_of(folder).acquire(timeout=0):
            shutil.rmtree(folder, ignore_errors=True)
            logger.info("abandoned_conversion_removed folder=%s", folder.name)


def _convert_into(temporary: Path, local: LocalModel, on_progress: OnProgress, name: str) -> None:
    """Into a new folder, of which nothing is left when it fails."""
    started = time.monotonic()
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        if local.gguf_file is not None:
            _convert_gguf(local.folder, local.gguf_file, temporary, on_progress, name)
        else:
            _convert_pickles(local.folder, temporary, on_progress, name)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    logger.info(
        "weights_converted model=%s from=%s seconds=%.1f", name, local.weights_format, time.monotonic() - started
    )


def _convert_gguf(folder: Path, file: str, into: Path, on_progress: OnProgress, name: str) -> None:
    with _reading_gguf_once((folder / file).stat().st_size, on_progress):
        config = AutoConfig.from_pretrained(folder, gguf_file=file)
        model = choose_auto_class(config, name=name).from_pretrained(
            folder,
            config=config,
            gguf_file=file,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.bfloat16,
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
    model.save_pretrained(into)
    tokenizer.save_pretrained(into)


@contextmanager
def _reading_gguf_once(total_bytes: int, on_progress: OnProgress) -> Iterator[None]:
    """While entered, a GGUF file is parsed and the table of its names built once, and its tensors are reported.

    transformers asks for the parsed file three times and for the table once per submodule: with SmolLM2-135M, whose
    tensors take 2 s, that was 30 s. It looks both up in gguf each time, and draws its own bar while it reads tensors.
    """

    def report_each(tensors: Iterable[Any], **_: object) -> Iterator[Any]:
        done_bytes = 0
        for tensor in tensors:
            yield tensor
            done_bytes += tensor.n_bytes
            on_progress(LoadProgress(stage="converting", done_bytes=done_bytes, total_bytes=total_bytes))

    replacements: tuple[tuple[Any, str, Any], ...] = (
        (gguf, "GGUFReader", functools.cache(gguf.GGUFReader)),
        (gguf, "get_tensor_name_map", functools.cache(gguf.get_tensor_name_map)),
        (modeling_gguf_pytorch_utils, "tqdm", report_each),
    )
    originals = [getattr(module, name) for module, name, _ in replacements]
    on_progress(LoadProgress(stage="converting", total_bytes=total_bytes))
    for module, name, replacement in replacements:
        setattr(module, name, replacement)
    try:
        yield
    finally:
        for (module, name, _), original in zip(replacements, originals, strict=True):
            setattr(module, name, original)


def _convert_pickles(folder: Path, into: Path, on_progress: OnProgress, name: str) -> None:
    """File by file, names and number formats unchanged, so that transformers sees what it would have unpickled."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    for supporting in choose_supporting_files(names, with_code=True):
        (into / supporting).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / supporting, into / supporting)
    weights = choose_weights(names)
    if weights is None:
        raise ModelLoadError(f"{name} has no weights to convert")
    pickles = [file for file in weights.names if file != weights.index]
    total_bytes = sum((folder / file).stat().st_size for file in pickles)
    done_bytes = 0
    on_progress(LoadProgress(stage="converting", total_bytes=total_bytes))
    for file in pickles:
        tensors = _read_pickle(folder / file, name)
        save_file(tensors, into / _safetensors_name(file), metadata={"format": "pt"})
        done_bytes += (folder / file).stat().st_size
        on_progress(LoadProgress(stage="converting", done_bytes=done_bytes, total_bytes=total_bytes))
    if weights.index is not None:
        index = json.loads((folder / weights.index).read_text(encoding="utf-8"))
        index["weight_map"] = {tensor: _safetensors_name(file) for tensor, file in index["weight_map"].items()}
        (into / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def _read_pickle(file: Path, name: str) -> dict[str, torch.Tensor]:
    """A state dict by torch's restricted unpickler, each tensor with memory of its own.

    safetensors stores no shared memory. Tied weights are therefore written once per name, and transformers ties
    them again when it loads.
    """
    try:
        # Files from before torch 1.6 are no zip archives and cannot be mapped.
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except pickle.UnpicklingError as exc:
        logger.warning("pickle_refused model=%s file=%s error=%s", name, file.name, exc)
        raise ModelLoadError(f"{name} is refused: {file.name} holds more than weights, it may run code") from exc
    if not isinstance(content, dict):
        raise ModelLoadError(f"{name} is refused: {file.name} is no table of weights")
    seen: set[int] = set()
    tensors: dict[str, torch.Tensor] = {}
    for key, tensor in content.items():
        if isinstance(tensor, torch.Tensor):
            storage = tensor.untyped_storage().data_ptr()
            tensors[key] = (
                tensor.clone(memory_format=torch.contiguous_format) if storage in seen else tensor.contiguous()
            )
            seen.add(storage)
    return tensors


def _safetensors_name(pickle_name: str) -> str:
    return pickle_name.replace("pytorch_model", "model").removesuffix(".bin") + ".safetensors"
