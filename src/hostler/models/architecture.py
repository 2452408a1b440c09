"""Which transformers class a model needs, and how long its sequences may be: read from its configuration alone."""

from enum import StrEnum
from pathlib import Path
from typing import Any

import transformers
from transformers import AutoConfig, PreTrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
)

from hostler.errors import ModelLoadError
from hostler.models.config_code import keys_of_kernels, needs_own_code
from hostler.models.model_shape import POSITION_LIMITS, RELATIVE_POSITIONS
from hostler.types import ModelType

_MAX_SPELLED_CHARS = 80
"""Of what a configuration says of itself, in an error."""


def is_own_class(model: object) -> bool:
    """Whether a model's class is transformers' own: code that comes with a model may use a known name for another."""
    return type(model).__module__.startswith("transformers.")


class AutoClass(StrEnum):
    """The transformers class that builds a model; the value is its name."""

    CAUSAL = "AutoModelForCausalLM"
    SEQ2SEQ = "AutoModelForSeq2SeqLM"
    ENCODER = "AutoModel"
    """Without a head: a vector of each token."""
    SEQUENCE_CLASSIFIER = "AutoModelForSequenceClassification"

    def from_pretrained(self, *args: Any, **kwargs: Any) -> Any:
        return getattr(transformers, self.value).from_pretrained(*args, **kwargs)


def read_config(folder: Path, raw_config: dict[str, Any], *, trust_remote_code: bool, name: str) -> PreTrainedConfig:
    """The model's configuration; `raw_config` is its `config.json`, `name` what errors call the model.

    Raises:
        ModelLoadError: transformers does not know the architecture and may not run the repository's own code.
    """
    if (keys := keys_of_kernels(raw_config)) and not trust_remote_code:
        raise ModelLoadError(
            f"the config.json of {name} names code elsewhere ({', '.join(keys)}), which is not run; use another"
            " revision, or a copy without these keys"
        )
    model_type = raw_config.get("model_type")
    if not trust_remote_code:
        spelled_type = repr(model_type)[:_MAX_SPELLED_CHARS]
        if needs_own_code(raw_config):
            raise ModelLoadError(
                f"{name} is of type {spelled_type} and runs only with Python code from its own repository (auto_map);"
                " if you trust that code, set trust_remote_code: true for this model"
            )
        if not isinstance(model_type, str) or model_type not in CONFIG_MAPPING_NAMES:
            raise ModelLoadError(
                f"{name} is of type {spelled_type}, which transformers {transformers.__version__} does not know"
            )
    return AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code, local_files_only=True)


def choose_auto_class(config: PreTrainedConfig, *, name: str) -> AutoClass:
    """Encoder–decoder or causal; the registry's `type` has no say.

    Raises:
        ModelLoadError: the architecture does not generate text.
    """
    architectures = list(config.architectures or ())
    custom_classes = getattr(config, "auto_map", None) or {}
    for auto_class in (AutoClass.CAUSAL, AutoClass.SEQ2SEQ):
        if auto_class.value in custom_classes:
            return auto_class
    if config.is_encoder_decoder:
        auto_class, known = AutoClass.SEQ2SEQ, MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING
        generators = set(MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES.values())
    else:
        auto_class, known = AutoClass.CAUSAL, MODEL_FOR_CAUSAL_LM_MAPPING
        generators = set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())
    if type(config) in known:
        if generators.intersection(architectures):
            return auto_class
        # A checkpoint of the bare model (`GPT2Model`) lacks only the tied head. Encoders such as BERT have a causal
        # class as well, which their checkpoints were never trained for.
        is_bare = all(
            architecture.endswith("Model") and "Encoder" not in architecture for architecture in architectures
        )
        if is_bare and (config.is_encoder_decoder or type(config) not in MODEL_FOR_MASKED_LM_MAPPING):
            return auto_class
    what = ", ".join(architectures) or f"model type {config.model_type!r}"
    raise ModelLoadError(
        f"{name} does not generate text: its architecture is {what}; if it makes vectors, scores or labels of texts,"
        " set its type to embedding, reranker or classifier"
    )


def choose_pooling_class(config: PreTrainedConfig, model_type: ModelType, *, name: str) -> AutoClass:
    """Of a model that is registered as one that reads whole texts.

    Raises:
        ModelLoadError: its architecture does not do that.
    """
    what = ", ".join(config.architectures or ()) or f"model type {config.model_type!r}"
    if config.is_encoder_decoder:
        raise ModelLoadError(f"{name} is no {model_type}: its architecture is {what}, an encoder–decoder")
    if model_type is ModelType.EMBEDDING:
        return AutoClass.ENCODER
    is_classifier = any(
        architecture.endswith("ForSequenceClassification") for architecture in config.architectures or ()
    )
    if not is_classifier:
        raise ModelLoadError(f"{name} is no {model_type}: its architecture is {what}, which has no head for labels")
    if model_type is ModelType.RERANKER and config.num_labels != 1:
        raise ModelLoadError(
            f"{name} has {config.num_labels} labels and a reranker has one; set its type to classifier"
        )
    return AutoClass.SEQUENCE_CLASSIFIER


def max_position(config: PreTrainedConfig) -> int | None:
    """Tokens that a sequence may have; `None` where the architecture sets no bound."""
    text_config = config.get_text_config(decoder=True)
    if text_config.model_type in RELATIVE_POSITIONS:
        return None
    limits = (getattr(text_config, limit, None) for limit in POSITION_LIMITS)
    return min((limit for limit in limits if isinstance(limit, int) and limit > 0), default=None)
