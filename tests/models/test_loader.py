"""A model comes into memory as what its files say it is."""

import errno
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, BertConfig, BertModel

from hostler.errors import ModelLoadError
from hostler.models import loader
from hostler.models.loader import LoadedModel, load_model
from hostler.models.repository_files import WeightsFormat
from hostler.models.source import LocalModel
from hostler.registry import ModelSpec
from hostler.types import ChatFormat, LoadProgress, ModelType
from tests.engine.harness import few_at_once
from tests.models.specs import spec_of
from tests.tiny_models import FAMILIES, MAX_POSITIONS, VARIANTS, build_tiny_model

torch.set_num_threads(1)


def load_quietly(spec: ModelSpec, folder: Path) -> LoadedModel:
    unread: list[LoadProgress] = []
    return load_model(spec, LocalModel(folder, WeightsFormat.SAFETENSORS, revision="c0ffee"), unread.append)


@pytest.mark.parametrize("family", few_at_once(FAMILIES + VARIANTS))
def test_every_family_loads_ready_to_generate(family: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    build_tiny_model(family, tmp_path)
    capfd.readouterr()
    loaded = load_quietly(spec_of("owner/tiny", max_length=4096), tmp_path)
    assert capfd.readouterr() == ("", "")
    facts = loaded.facts
    assert facts.is_encoder_decoder is (family == "t5")
    assert facts.architecture == json.loads((tmp_path / "config.json").read_text())["architectures"][0]
    assert facts.max_model_len == (4096 if family == "t5" else MAX_POSITIONS)
    assert (facts.dtype, facts.device, facts.revision) == ("float32", "cpu", "c0ffee")
    assert facts.num_parameters == facts.num_trainable_parameters > 10_000
    assert facts.memory_bytes >= 4 * facts.num_parameters
    assert facts.load_s > 0
    assert not loaded.model.training
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    output = loaded.model.generate(**loaded.tokenizer("The horse", return_tensors="pt"), max_new_tokens=4)
    assert output.shape[0] == 1


def test_the_registrys_limit_applies_where_it_is_smaller(tmp_path: Path) -> None:
    build_tiny_model("gpt2", tmp_path)
    assert load_quietly(spec_of("owner/tiny", max_length=50), tmp_path).facts.max_model_len == 50


def test_weights_take_the_number_format_that_was_asked_for(tmp_path: Path) -> None:
    build_tiny_model("llama", tmp_path)
    loaded = load_quietly(spec_of("owner/tiny", torch_dtype="bfloat16"), tmp_path)
    assert loaded.facts.dtype == "bfloat16"
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize(
    ("family", "name", "model_type", "chat_format"),
    [
        ("llama_chat", "owner/tiny", ModelType.TEXT, ChatFormat.TEMPLATE),
        ("llama_chat", "microsoft/DialoGPT-small", ModelType.CONVERSATIONAL, ChatFormat.TEMPLATE),
        ("dialogpt", "microsoft/DialoGPT-small", ModelType.CONVERSATIONAL, ChatFormat.EOS_TURNS),
        ("gpt2", "owner/tiny", ModelType.CONVERSATIONAL, ChatFormat.HUMAN_ASSISTANT),
        ("gpt2", "owner/tiny", ModelType.TEXT, ChatFormat.PLAIN),
        ("gpt2", "owner/tiny", ModelType.CODE, ChatFormat.PLAIN),
        ("t5", "owner/tiny", ModelType.INSTRUCTION, ChatFormat.PLAIN),
    ],
)
def test_the_chat_format_is_the_template_or_follows_the_type(
    family: str, name: str, model_type: ModelType, chat_format: ChatFormat, tmp_path: Path
) -> None:
    build_tiny_model(family, tmp_path)
    assert load_quietly(spec_of(name, type=model_type), tmp_path).facts.chat_format is chat_format


def test_progress_says_how_many_bytes_are_loaded(tmp_path: Path) -> None:
    build_tiny_model("gpt2", tmp_path)
    seen: list[LoadProgress] = []
    load_model(spec_of("owner/tiny"), LocalModel(tmp_path, WeightsFormat.SAFETENSORS), seen.append)
    size = (tmp_path / "model.safetensors").stat().st_size
    assert seen == [
        LoadProgress(stage="loading", total_bytes=size),
        LoadProgress(stage="loading", done_bytes=size, total_bytes=size),
    ]


def test_a_checkpoint_of_the_bare_model_loads_with_the_head_that_is_tied_to_it(tmp_path: Path) -> None:
    complete = load_quietly(spec_of("owner/tiny"), build_tiny_model("gpt2", tmp_path))
    complete.model.base_model.save_pretrained(tmp_path)
    bare = load_quietly(spec_of("owner/tiny"), tmp_path)
    assert bare.facts.architecture == "GPT2LMHeadModel"
    inputs = bare.tokenizer("The horse", return_tensors="pt")
    assert torch.equal(bare.model(**inputs).logits, complete.model(**inputs).logits)


def test_an_encoder_is_refused(tmp_path: Path) -> None:
    build_tiny_model("gpt2", tmp_path)
    config = BertConfig(
        vocab_size=100, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    BertModel(config).save_pretrained(tmp_path)
    with pytest.raises(ModelLoadError, match="owner/tiny does not generate text: its architecture is BertModel"):
        load_quietly(spec_of("owner/tiny"), tmp_path)


def test_weights_that_lack_a_tensor_are_refused_rather_than_filled_with_noise(tmp_path: Path) -> None:
    weights = build_tiny_model("opt", tmp_path) / "model.safetensors"
    tensors = load_file(weights)
    del tensors["model.decoder.layers.1.fc1.weight"]
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(ModelLoadError, match="incomplete: 1 tensors"):
        load_quietly(spec_of("owner/tiny"), tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("model.safetensors", b"\xff" * 100, "owner/tiny could not be loaded"),
        ("config.json", b"{", "owner/tiny could not be loaded"),
        ("tokenizer.json", b"{", "the tokenizer of owner/tiny could not be loaded"),
    ],
)
def test_damaged_files_are_reported_without_local_paths(
    tmp_path: Path, file: str, content: bytes, message: str
) -> None:
    (build_tiny_model("gpt2", tmp_path) / file).write_bytes(content)
    with pytest.raises(ModelLoadError, match=message) as caught:
        load_quietly(spec_of("owner/tiny"), tmp_path)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] data. DefaultCPUAllocator: not enough memory"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
    ],
)
def test_running_out_of_memory_is_said_in_so_many_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def run_out(*args: object) -> None:
        raise error

    build_tiny_model("gpt2", tmp_path)
    monkeypatch.setattr(loader, "_load_weights", run_out)
    num_bytes = (tmp_path / "model.safetensors").stat().st_size
    with pytest.raises(ModelLoadError, match="owner/tiny does not fit into the memory that is free") as caught:
        load_quietly(spec_of("owner/tiny"), tmp_path)
    for fact in (f"its weights have {num_bytes} bytes", "memory_budget", "torch_dtype", "a smaller model"):
        assert fact in caught.value.message


def test_a_device_that_is_not_there_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="cuda"):
        load_quietly(spec_of("owner/tiny", device="cuda:99"), tmp_path)


def test_a_model_for_several_devices_is_shared_out_and_one_that_does_not_fit_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build_tiny_model("llama", tmp_path / "tiny")
    asked: list[dict[str, Any]] = []
    whole = AutoModelForCausalLM.from_pretrained

    def shared_out(*args: Any, device_map: str, max_memory: dict[int, int], **options: Any) -> Any:
        asked.append({"device_map": device_map, "max_memory": max_memory})
        model, report = whole(*args, **options)
        model.hf_device_map = {"model": 0, "lm_head": next(last)}
        return model, report

    last = iter([1, "cpu"])
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", shared_out)
    monkeypatch.setattr(loader, "choose_devices", lambda _: [torch.device("cuda", 0), torch.device("cuda", 1)])
    monkeypatch.setattr(loader, "free_bytes", lambda device: 1000 + device.index)
    spec = spec_of("owner/tiny", device="cuda:0,cuda:1")
    facts = load_quietly(spec, folder).facts
    assert asked == [{"device_map": "balanced", "max_memory": {0: 1000, 1: 1001}}]
    assert facts.device == "cuda:0,cuda:1"
    with pytest.raises(ModelLoadError, match="does not fit into what is free on cuda:0,cuda:1"):
        load_quietly(spec, folder)
