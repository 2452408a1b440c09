"""The class and the length limit of a model follow from its configuration."""

import json
from pathlib import Path

import pytest
from transformers import (
    BartConfig,
    BertConfig,
    BloomConfig,
    CodeGenConfig,
    Gemma3Config,
    GPT2Config,
    LlamaConfig,
    OPTConfig,
    PreTrainedConfig,
    T5Config,
)

from hostler.errors import ModelLoadError
from hostler.models.architecture import AutoClass, choose_auto_class, max_position, read_config


@pytest.mark.parametrize(
    ("config", "auto_class"),
    [
        (LlamaConfig(architectures=["LlamaForCausalLM"]), AutoClass.CAUSAL),
        (GPT2Config(architectures=["GPT2LMHeadModel"]), AutoClass.CAUSAL),
        (BloomConfig(architectures=["BloomModel"]), AutoClass.CAUSAL),
        (GPT2Config(), AutoClass.CAUSAL),
        (BertConfig(architectures=["BertLMHeadModel"], is_decoder=True), AutoClass.CAUSAL),
        (T5Config(architectures=["T5ForConditionalGeneration"]), AutoClass.SEQ2SEQ),
        (BartConfig(architectures=["BartForConditionalGeneration"]), AutoClass.SEQ2SEQ),
        (BartConfig(architectures=["BartModel"]), AutoClass.SEQ2SEQ),
    ],
)
def test_generators_get_the_class_of_their_kind(config: PreTrainedConfig, auto_class: AutoClass) -> None:
    assert choose_auto_class(config, name="owner/tiny") is auto_class


@pytest.mark.parametrize(
    "config",
    [
        BertConfig(architectures=["BertModel"]),
        BertConfig(architectures=["BertForMaskedLM"]),
        BertConfig(architectures=["BertForSequenceClassification"]),
        BertConfig(),
        GPT2Config(architectures=["GPT2ForSequenceClassification"]),
        T5Config(architectures=["T5EncoderModel"]),
        BartConfig(architectures=["BartForSequenceClassification"]),
    ],
)
def test_what_does_not_generate_is_refused_by_the_name_of_its_architecture(config: PreTrainedConfig) -> None:
    with pytest.raises(ModelLoadError, match=f"does not generate text.*{(config.architectures or ['bert'])[0]}"):
        choose_auto_class(config, name="owner/tiny")


def test_trusted_code_says_itself_which_class_it_is() -> None:
    config = PreTrainedConfig(auto_map={"AutoModelForCausalLM": "modeling_tiny.TinyForCausalLM"})
    assert choose_auto_class(config, name="owner/tiny") is AutoClass.CAUSAL


@pytest.mark.parametrize(
    ("config", "limit"),
    [
        (GPT2Config(n_positions=128), 128),
        (CodeGenConfig(n_positions=128, n_ctx=96), 96),
        (OPTConfig(max_position_embeddings=128), 128),
        (BloomConfig(seq_length=128), 128),
        (BloomConfig(), None),
        (T5Config(n_positions=512), None),
        (BartConfig(max_position_embeddings=128), 128),
        (Gemma3Config(), Gemma3Config().text_config.max_position_embeddings),
    ],
)
def test_the_length_limit_is_the_architectures_own(config: PreTrainedConfig, limit: int | None) -> None:
    assert max_position(config) == limit


def write_config(folder: Path, **content: object) -> dict[str, object]:
    (folder / "config.json").write_text(json.dumps(content))
    return content


def test_code_of_a_repository_is_not_run_without_trust(tmp_path: Path) -> None:
    (tmp_path / "configuration_tiny.py").write_text("raise SystemExit('it was run')")
    raw = write_config(tmp_path, model_type="tiny", auto_map={"AutoConfig": "configuration_tiny.TinyConfig"})
    with pytest.raises(ModelLoadError, match="trust_remote_code: true"):
        read_config(tmp_path, raw, trust_remote_code=False, name="owner/tiny")


def test_a_known_type_needs_no_trust_even_if_the_repository_has_code(tmp_path: Path) -> None:
    (tmp_path / "configuration_tiny.py").write_text("raise SystemExit('it was run')")
    own = {"AutoConfig": "configuration_tiny.TinyConfig"}
    raw = write_config(tmp_path, model_type="gpt2", architectures=["GPT2LMHeadModel"], auto_map=own)
    config = read_config(tmp_path, raw, trust_remote_code=False, name="owner/tiny")
    assert isinstance(config, GPT2Config)


@pytest.mark.parametrize("architectures", [["TinyLMHeadModel"], ["GPT2LMHeadModel", "Tiny"], [], None])
def test_a_known_type_with_a_class_of_its_own_is_not_taken_for_the_known_class(
    tmp_path: Path, architectures: list[str] | None
) -> None:
    own = {"AutoModelForCausalLM": "modeling_tiny.TinyLMHeadModel"}
    raw = write_config(tmp_path, model_type="gpt2", architectures=architectures, auto_map=own)
    with pytest.raises(ModelLoadError, match="trust_remote_code: true"):
        read_config(tmp_path, raw, trust_remote_code=False, name="owner/tiny")


def test_a_type_that_transformers_does_not_know_is_named(tmp_path: Path) -> None:
    raw = write_config(tmp_path, model_type="tiny")
    with pytest.raises(ModelLoadError, match="type 'tiny', which transformers"):
        read_config(tmp_path, raw, trust_remote_code=False, name="owner/tiny")
