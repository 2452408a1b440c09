from typing import Any

import pytest

from hostler.models.pooling_type import num_labels, pooling_type_of
from hostler.types import ModelType

FILES = ["config.json", "model.safetensors"]


def config_of(architecture: str, model_type: str, **more: Any) -> dict[str, Any]:
    return {"architectures": [architecture], "model_type": model_type, **more}


@pytest.mark.parametrize(
    "config",
    [
        config_of("BertModel", "bert"),
        config_of("MPNetModel", "mpnet"),
        config_of("XLMRobertaModel", "xlm-roberta"),
        config_of("ModernBertModel", "modernbert"),
        config_of("Qwen3Model", "qwen3"),
    ],
)
def test_a_bare_encoder_is_for_embedding(config: dict[str, Any]) -> None:
    assert pooling_type_of(config, FILES) is ModelType.EMBEDDING


def test_a_decoder_is_an_encoder_of_sentences_where_its_files_say_so() -> None:
    config = config_of("Qwen3ForCausalLM", "qwen3")
    assert pooling_type_of(config, [*FILES, "modules.json"]) is ModelType.EMBEDDING
    assert pooling_type_of(config, FILES) is None


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"id2label": {"0": "LABEL_0"}}, ModelType.RERANKER),
        ({"num_labels": 1}, ModelType.RERANKER),
        ({"id2label": {"0": "bad", "1": "good"}}, ModelType.CLASSIFIER),
        ({}, ModelType.CLASSIFIER),
        ({"num_labels": "many"}, ModelType.CLASSIFIER),
    ],
)
def test_a_head_for_one_label_ranks_and_one_for_more_classifies(labels: dict[str, Any], expected: ModelType) -> None:
    config = config_of("XLMRobertaForSequenceClassification", "xlm-roberta", **labels)
    assert pooling_type_of(config, FILES) is expected
    assert num_labels(config) == (1 if expected is ModelType.RERANKER else 2)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"architectures": "BertModel", "model_type": "bert"},
        config_of("BertForMaskedLM", "bert"),
        config_of("GPT2LMHeadModel", "gpt2"),
        config_of("T5EncoderModel", "t5", is_encoder_decoder=True),
        config_of("ViTForImageClassification", "vit", image_size=224),
        config_of("CLIPModel", "clip", vision_config={}),
        config_of("Wav2Vec2Model", "wav2vec2"),
        config_of("LlamaForCausalLM", "llama"),
    ],
)
def test_what_does_something_else_is_left_out(config: dict[str, Any]) -> None:
    assert pooling_type_of(config, FILES) is None
