"""What transformers is said to know, held against transformers."""

import pytest
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
)

from hostler.models.native_classes import has_native_class

MAPPINGS = (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
)


def test_every_class_of_its_mappings_is_known_without_importing_it() -> None:
    pairs = [pair for mapping in MAPPINGS for pair in mapping.items()]
    assert len(pairs) > 200
    assert [pair for pair in pairs if not has_native_class(pair[0], [pair[1]])] == []


@pytest.mark.parametrize(
    ("model_type", "architectures"),
    [
        ("bert", ["JinaBertForMaskedLM"]),
        ("gpt2", ["GPT2LMHeadModel", "Own"]),
        ("gpt2", ["LlamaForCausalLM"]),
        ("own", ["GPT2LMHeadModel"]),
        ("gpt2", []),
        ("gpt2", None),
        (["gpt2"], ["GPT2LMHeadModel"]),
        ("gpt2", [["GPT2LMHeadModel"]]),
    ],
)
def test_a_class_of_another_name_or_type_is_not_its_own(model_type: object, architectures: object) -> None:
    assert has_native_class(model_type, architectures) is False
