"""Whether a model reads whole texts, and to what end: from its `config.json` and the names of its files."""

from collections.abc import Collection, Mapping
from typing import Any

from hostler.models.generative import ENCODERS, has_other_senses
from hostler.models.sentence_modules import MODULES_FILE
from hostler.types import ModelType

_DECODERS = frozenset(("qwen2", "qwen3"))
"""Model types whose bare class is a sentence encoder also where no `modules.json` says so: Qwen's embedders."""


def pooling_type_of(config: Mapping[str, Any], file_names: Collection[str]) -> ModelType | None:
    """`None`: it does something else, or that cannot be told."""
    architectures = config.get("architectures")
    model_type = config.get("model_type")
    if not isinstance(architectures, list) or not architectures or not isinstance(model_type, str):
        return None
    if has_other_senses(config) or config.get("is_encoder_decoder"):
        return None
    architecture = str(architectures[0])
    if architecture.endswith("ForSequenceClassification"):
        return ModelType.RERANKER if num_labels(config) == 1 else ModelType.CLASSIFIER
    is_bare = architecture.endswith("Model") and not architecture.endswith("LMHeadModel")
    if MODULES_FILE in file_names or (is_bare and model_type in ENCODERS | _DECODERS):
        return ModelType.EMBEDDING
    return None


def num_labels(config: Mapping[str, Any]) -> int:
    """Of a class for sequence classification. transformers writes their names, or how many, or for 2 neither."""
    names = config.get("id2label")
    if isinstance(names, Mapping) and names:
        return len(names)
    count = config.get("num_labels")
    return count if type(count) is int and count > 0 else 2
