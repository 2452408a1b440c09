"""Which files of a model's repository are needed, decided on their names for the hub and for local folders alike."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from hostler.errors import ModelLoadError
from hostler.models.json_files import read_json


class WeightsFormat(StrEnum):
    """How a model's weights are stored."""

    SAFETENSORS = "safetensors"
    PICKLE = "pickle"
    """`.bin` files of torch; converted before use."""
    GGUF = "gguf"
    """One quantised file that holds configuration and tokenizer too; converted before use."""


@dataclass(frozen=True)
class WeightFiles:
    """The weights that were chosen from a repository."""

    format: WeightsFormat
    names: tuple[str, ...]
    """Files of the root folder, an index included where weights are split."""
    index: str | None = None
    """The file that says which of the others holds which tensor, where weights are split."""


TOKENIZER_FILES = frozenset(
    ("tokenizer.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "vocab.json", "vocab.txt")
)
"""Each of these alone says that a tokenizer is there."""

_SUPPORTING_SUFFIXES = (".json", ".txt", ".model", ".jinja")
# Files that are split by another layout than transformers', such as Mistral's, lie beside those in some repositories.
_FOREIGN_SHARD = re.compile(r"consolidated")
_SENTENCE_PART = re.compile(r"\d+_\w+/(config\.json|model\.safetensors|pytorch_model\.bin)")
"""`1_Pooling/config.json`; other folders hold the model once more, for other engines."""
_LAYOUTS = (
    (
        WeightsFormat.SAFETENSORS,
        "model.safetensors",
        "model.safetensors.index.json",
        re.compile(r".+-\d+-of-\d+\.safetensors"),
    ),
    (
        WeightsFormat.PICKLE,
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
        re.compile(r"pytorch_model-\d+-of-\d+\.bin"),
    ),
)


def choose_weights(names: Collection[str]) -> WeightFiles | None:
    """The weights that transformers would load, safetensors before `.bin`; `None` where there are neither."""
    root_names = [name for name in names if "/" not in name]
    for weights_format, single, index, shard in _LAYOUTS:
        if single in root_names:
            return WeightFiles(weights_format, (single,))
        if index in root_names:
            shards = (name for name in root_names if shard.fullmatch(name) and not _FOREIGN_SHARD.match(name))
            return WeightFiles(weights_format, (index, *sorted(shards)), index)
    return None


def choose_supporting_files(names: Collection[str], *, with_code: bool) -> tuple[str, ...]:
    """Configuration, tokenizer, chat template and what a sentence encoder has besides; Python too `with_code`, and that
    from subfolders as well."""
    sentence_parts = _sentence_parts(names)
    return tuple(
        name
        for name in names
        if ("/" not in name and name.endswith(_SUPPORTING_SUFFIXES) and not name.endswith(".index.json"))
        or name in sentence_parts
        or (with_code and name.endswith(".py"))
    )


def _sentence_parts(names: Collection[str]) -> set[str]:
    """Files of the layers that sentence-transformers puts behind a model; their weights in one format."""
    if "modules.json" not in names:
        return set()
    parts = {name for name in names if _SENTENCE_PART.fullmatch(name)}
    return {
        name
        for name in parts
        if not (name.endswith(".bin") and name.replace("pytorch_model.bin", "model.safetensors") in parts)
    }


def missing_shards(folder: Path, weights: WeightFiles, names: Collection[str]) -> list[str]:
    """Files that the index of split weights refers to and that are not among `names`; none without an index.

    Raises:
        ModelLoadError: the index cannot be read.
    """
    if weights.index is None:
        return []
    try:
        index = read_json(folder / weights.index)
        shards = set(index["weight_map"].values())
        if not all(isinstance(shard, str) for shard in shards):
            raise ValueError("a shard that is no name")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ModelLoadError(f"{weights.index} is damaged; delete it and load again, or correct it") from exc
    return sorted(shards.difference(names))


def check_format_allowed(weights_format: WeightsFormat, owner: str, *, allow_pickle: bool) -> None:
    """Refuse pickled weights where they are forbidden; `owner` says whose they are.

    Raises:
        ModelLoadError: they are pickled and may not be.
    """
    if weights_format is WeightsFormat.PICKLE and not allow_pickle:
        raise ModelLoadError(
            f"{owner} has pickled weights (.bin) only, which allow_pickle: false forbids;"
            " set allow_pickle: true for this model, or name a revision that has safetensors"
        )
