"""Finds out what there is to know of a model's memory without loading it: on this machine, else at the hub."""

import hashlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hostler.errors import HostlerError
from hostler.memory import FootprintBasis
from hostler.models.converted import converted_folder
from hostler.models.footprint import Inspection
from hostler.models.gguf_header import read_gguf_header
from hostler.models.hub import HubAccess
from hostler.models.hub_headers import HubWeights, list_commit, read_weights
from hostler.models.json_files import read_json
from hostler.models.model_shape import ModelShape, read_shape
from hostler.models.repository_files import WeightsFormat, choose_weights
from hostler.models.source import LocalModel, find_local, hub_source
from hostler.models.weights_header import StoredNumbers, count_numbers_in
from hostler.registry import ModelSpec

logger = logging.getLogger(__name__)

HUB_TIMEOUT_S = 4.0
"""For all that is asked of the hub for one model."""

_BYTES_OF_FORMAT = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}
_GGUF_SIZES = {
    "num_hidden_layers": "block_count",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "head_dim": "attention.key_length",
    "hidden_size": "embedding_length",
    "intermediate_size": "feed_forward_length",
    "max_position_embeddings": "context_length",
}
"""Names of `config.json` → a GGUF file's, which stand behind the architecture's."""


@dataclass(frozen=True)
class _Local:
    """A model on this machine as it will be loaded."""

    weights: list[Path]
    config: dict[str, Any]


class Inspector:
    """Blocks while it reads files or asks the hub; may be called from several threads."""

    def __init__(self, hub: HubAccess, converted: Path) -> None:
        """`converted`: where converted weights are kept."""
        self._hub = hub
        self._converted = converted
        self._answers: dict[str, Inspection] = {}
        """What the hub has said, by the weights' identity. Only answers that are complete."""
        self._said: set[tuple[str, FootprintBasis, str]] = set()
        """What the log says once is enough: model, basis and reason."""

    def inspect(self, spec: ModelSpec) -> Inspection:
        """Never raises; what cannot be found out is left out."""
        try:
            local = find_local(spec, self._hub)
            return self._inspect_hub(spec) if local is None else self._inspect_local(spec, local)
        except (HostlerError, OSError, ValueError) as exc:
            # A model whose files are not as they should be fails to load, and says why.
            self._say_why(spec, FootprintBasis.SIZE, exc)
            return Inspection(FootprintBasis.SIZE)

    def _inspect_local(self, spec: ModelSpec, local: LocalModel) -> Inspection:
        identity = _identity(spec, local)
        folder = local.folder
        if local.weights_format is not WeightsFormat.SAFETENSORS:
            folder = converted_folder(local, self._converted, name=spec.name)
        if folder.is_dir():
            found = _read_folder(folder)
            is_tied = found.config.get("tie_word_embeddings") is True
            numbers = count_numbers_in(found.weights, is_output_tied=is_tied)
            return Inspection(FootprintBasis.HEADERS, numbers, read_shape(found.config), identity)
        if local.gguf_file is not None:
            header = read_gguf_header(local.folder / local.gguf_file)
            shape = _shape_of_gguf(header.metadata)
            return Inspection(FootprintBasis.HEADERS, StoredNumbers(header.num_weights), shape, identity)
        found = _read_folder(local.folder)
        file_bytes = sum(path.stat().st_size for path in found.weights)
        return Inspection(
            FootprintBasis.FILES, _numbers_of_files(file_bytes, found.config), read_shape(found.config), identity
        )

    def _inspect_hub(self, spec: ModelSpec) -> Inspection:
        source = hub_source(spec.source)
        if source.file is not None:
            # A GGUF file's header has its vocabulary before the tensors, megabytes of it; its size says little, since
            # each of its numbers takes two or four bytes in memory.
            return Inspection(FootprintBasis.SIZE)
        deadline = time.monotonic() + HUB_TIMEOUT_S
        try:
            listing = list_commit(source, self._hub, deadline=deadline)
        except Exception as exc:  # huggingface_hub's, httpx2's and the system's errors have no common base
            self._say_why(spec, FootprintBasis.SIZE, exc)
            return Inspection(FootprintBasis.SIZE)
        identity = _identity_of_commit(source.repo_id, listing.commit)
        if identity in self._answers:
            return self._answers[identity]
        weights = read_weights(
            listing,
            self._hub,
            deadline=deadline,
            on_problem=lambda exc: self._say_why(spec, FootprintBasis.FILES, exc),
        )
        if weights is None:
            return Inspection(FootprintBasis.SIZE)
        inspection = _of_hub_weights(weights, identity)
        if weights.numbers is not None:
            self._answers[identity] = inspection
        return inspection

    def _say_why(self, spec: ModelSpec, basis: FootprintBasis, exc: Exception) -> None:
        reason = (spec.id, basis, type(exc).__name__)
        if reason not in self._said:
            self._said.add(reason)
            logger.info("estimate_weak model=%s basis=%s reason=%s", *reason)


def _of_hub_weights(weights: HubWeights, identity: str) -> Inspection:
    shape = read_shape(weights.config) if weights.config is not None else None
    if weights.numbers is not None:
        return Inspection(FootprintBasis.HEADERS, weights.numbers, shape, identity)
    return Inspection(
        FootprintBasis.FILES, _numbers_of_files(weights.file_bytes, weights.config or {}), shape, identity
    )


def _read_folder(folder: Path) -> _Local:
    weights = choose_weights([path.name for path in folder.iterdir()])
    if weights is None:
        raise ValueError("the folder has no weights")
    config = read_json(folder / "config.json")
    return _Local([folder / name for name in weights.names if name != weights.index], config)


def _numbers_of_files(file_bytes: int, config: Mapping[str, Any]) -> StoredNumbers:
    """What files hold whose headers are not known; as they are where the format of their numbers is not either."""
    stored = _BYTES_OF_FORMAT.get(str(config.get("dtype") or config.get("torch_dtype")))
    return StoredNumbers(num_floats=file_bytes // stored) if stored else StoredNumbers(other_bytes=file_bytes)


def _shape_of_gguf(metadata: Mapping[str, Any]) -> ModelShape | None:
    architecture = metadata.get("general.architecture")
    sizes = {name: metadata.get(f"{architecture}.{key}") for name, key in _GGUF_SIZES.items()}
    tokens = metadata.get("tokenizer.ggml.tokens")
    return read_shape({**sizes, "vocab_size": tokens, "model_type": architecture})


def _identity(spec: ModelSpec, local: LocalModel) -> str:
    """Different whenever the weights are; the same before and after they are downloaded or converted."""
    if local.revision is not None:
        return _identity_of_commit(hub_source(spec.source).repo_id, local.revision, local.gguf_file)
    if local.gguf_file is not None:
        files = [local.folder / local.gguf_file]
    else:
        files = [*_read_folder(local.folder).weights, local.folder / "config.json"]
    digest = hashlib.sha256()
    for path in files:
        status = path.stat()
        digest.update(f"{path.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return f"files:{digest.hexdigest()[:16]}"


def _identity_of_commit(repo_id: str, commit: str, file: str | None = None) -> str:
    return f"{repo_id}@{commit}" + (f"/{file}" if file is not None else "")
