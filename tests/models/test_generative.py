from typing import Any

import pytest

from hostler.models.generative import FALLBACK_MAX_LENGTH, context_length, generates_text


def config_of(architecture: str, model_type: str, **more: Any) -> dict[str, Any]:
    return {"architectures": [architecture], "model_type": model_type, **more}


@pytest.mark.parametrize(
    "config",
    [
        config_of("LlamaForCausalLM", "llama"),
        config_of("GPT2LMHeadModel", "gpt2"),
        config_of("T5ForConditionalGeneration", "t5", is_encoder_decoder=True),
        config_of("MarianMTModel", "marian"),
        config_of("PegasusForConditionalGeneration", "pegasus"),
        config_of(
            "FalconForCausalLM", "falcon", auto_map={"AutoModelForCausalLM": "modeling_falcon.FalconForCausalLM"}
        ),
    ],
)
def test_what_writes_text_is_known_by_its_class(config: dict[str, Any]) -> None:
    assert generates_text(config, ["config.json", "model.safetensors"])


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"architectures": [], "model_type": "llama"},
        {"architectures": "LlamaForCausalLM", "model_type": "llama"},
        config_of("BertModel", "bert"),
        config_of("BertForMaskedLM", "bert"),
        config_of("RobertaForCausalLM", "roberta"),
        config_of("BertLMHeadModel", "bert"),
        config_of("LlamaForSequenceClassification", "llama"),
        config_of("LlavaForConditionalGeneration", "llava", vision_config={}),
        config_of("Gemma3ForConditionalGeneration", "gemma3", vision_config={}),
        config_of("FuyuForCausalLM", "fuyu", patch_size=30),
        config_of("WhisperForConditionalGeneration", "whisper", num_mel_bins=80),
        config_of("MusicgenForConditionalGeneration", "musicgen", audio_encoder={}),
        config_of("ViTForImageClassification", "vit", image_size=224),
        config_of("SpeechT5ForTextToSpeech", "speecht5"),
    ],
)
def test_what_reads_sees_hears_or_speaks_is_left_out(config: dict[str, Any]) -> None:
    assert not generates_text(config, ["config.json", "model.safetensors"])


def test_a_sentence_encoder_on_a_decoder_is_left_out() -> None:
    assert not generates_text(config_of("Qwen3ForCausalLM", "qwen3"), ["config.json", "modules.json"])


def test_the_context_is_the_configurations_own_where_it_has_one() -> None:
    config = config_of("GPT2LMHeadModel", "gpt2", n_positions=1024, n_embd=8, n_layer=2, n_head=2)
    assert context_length(config) == 1024
    assert context_length({}) == FALLBACK_MAX_LENGTH
    assert context_length({"hidden_size": 8, "num_hidden_layers": 2, "attn_layer_period": 2, "attn_layer_offset": "x"})
