"""Whether a model generates text, read from its `config.json` and the names of its files, without transformers."""

from collections.abc import Collection, Mapping
from typing import Any

from hostler.models.model_shape import read_shape

FALLBACK_MAX_LENGTH = 8192
"""Tokens, where the configuration sets no limit: the architecture has none, or names it in a way of its own."""

_WRITERS = ("ForCausalLM", "LMHeadModel")
_ENCODER_DECODERS = frozenset(
    [
        "t5",
        "mt5",
        "umt5",
        "longt5",
        "switch_transformers",
        "t5gemma",
        "bart",
        "mbart",
        "mvp",
        "plbart",
        "led",
        "pegasus",
        "pegasus_x",
        "bigbird_pegasus",
        "blenderbot",
        "blenderbot-small",
        "m2m_100",
        "marian",
        "fsmt",
        "nllb-moe",
        "prophetnet",
        "xlm-prophetnet",
    ]
)
"""Model types; `ForConditionalGeneration` alone may as well mean that it describes pictures or writes down speech."""
ENCODERS = frozenset(
    [
        "albert",
        "bert",
        "big_bird",
        "camembert",
        "convbert",
        "data2vec-text",
        "deberta",
        "deberta-v2",
        "distilbert",
        "electra",
        "ernie",
        "flaubert",
        "megatron-bert",
        "modernbert",
        "mpnet",
        "rembert",
        "roberta",
        "roberta-prelayernorm",
        "roformer",
        "xlm",
        "xlm-roberta",
        "xlm-roberta-xl",
    ]
)
"""Model types that have a class for generation and are trained to fill gaps."""
_OTHER_SENSES = frozenset(
    [
        "vision_config",
        "audio_config",
        "speech_config",
        "image_size",
        "patch_size",
        "visual",
        "img_processor",
        "mm_vision_tower",
        "audio_encoder",
        "num_mel_bins",
        "num_codebooks",
        "input_feat_per_channel",
        "vision_tower",
    ]
)
"""Keys of configurations of models that see, hear or speak."""
_OTHER_SENSE_TYPES = frozenset(("trocr", "speech_to_text_2", "musicgen", "musicgen_melody", "whisper", "bark", "csm"))
_EMBEDDERS = frozenset(("modules.json", "config_sentence_transformers.json"))
"""Files that make a sentence encoder of what looks like any decoder."""


def generates_text(config: Mapping[str, Any], file_names: Collection[str]) -> bool:
    """Whether it is made to write text, from text alone. What cannot be told is not."""
    architectures = config.get("architectures")
    model_type = config.get("model_type")
    if not isinstance(architectures, list) or not architectures or not isinstance(model_type, str):
        return False
    if model_type in ENCODERS or has_other_senses(config):
        return False
    if not _EMBEDDERS.isdisjoint(file_names):
        return False
    return str(architectures[0]).endswith(_WRITERS) or model_type in _ENCODER_DECODERS


def has_other_senses(config: Mapping[str, Any]) -> bool:
    """Whether it sees, hears or speaks."""
    return config.get("model_type") in _OTHER_SENSE_TYPES or not _OTHER_SENSES.isdisjoint(config)


def context_length(config: Mapping[str, Any]) -> int:
    """Tokens that a sequence may have."""
    try:
        shape = read_shape(config)
    except (TypeError, ValueError, ArithmeticError):
        return FALLBACK_MAX_LENGTH  # a configuration with oddities; loading it will say more
    return (shape.max_positions if shape else None) or FALLBACK_MAX_LENGTH
