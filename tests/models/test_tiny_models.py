"""The models that other tests build on are what they claim to be."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from tests.tiny_models import FAMILIES, VARIANTS, build_tiny_model, save_as_pickle_repository

torch.set_num_threads(1)

TEXTS = [
    "Hello, how are you today?",
    "Größe und Übermut. L'élève a mangé.",
    "Привет, мир! 你好，世界。🐴",
    "def __init__(self, name: str) -> None:",
]


@pytest.mark.parametrize("family", FAMILIES + VARIANTS)
def test_text_survives_the_tokenizer(family: str, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(build_tiny_model(family, tmp_path))
    for text in TEXTS:
        assert tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True) == text


@pytest.mark.parametrize("family", FAMILIES + VARIANTS)
def test_greedy_answers_vary_from_token_to_token_and_are_decided_clearly(family: str, tmp_path: Path) -> None:
    build_tiny_model(family, tmp_path)
    auto_class = AutoModelForSeq2SeqLM if family == "t5" else AutoModelForCausalLM
    model = auto_class.from_pretrained(tmp_path).eval()
    inputs = AutoTokenizer.from_pretrained(tmp_path)("The hostler opens the door", return_tensors="pt")
    output = model.generate(
        **inputs, do_sample=False, max_new_tokens=16, return_dict_in_generate=True, output_logits=True
    )
    new_tokens = output.sequences[0][-len(output.logits) :].tolist()
    assert len(set(new_tokens)) >= 5
    for logits in output.logits:
        best, second = torch.topk(logits[0], 2).values.tolist()
        assert best - second > 1e-3


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    first, again, other = (
        (build_tiny_model("gpt2", tmp_path / name, seed=seed) / "model.safetensors").read_bytes()
        for name, seed in (("first", 0), ("again", 0), ("other", 1))
    )
    assert first == again
    assert first != other


def test_a_pickle_repository_has_the_same_weights_and_no_safetensors(tmp_path: Path) -> None:
    build_tiny_model("opt", tmp_path)
    before = AutoModelForCausalLM.from_pretrained(tmp_path).state_dict()
    save_as_pickle_repository(tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))
    stored = torch.load(tmp_path / "pytorch_model.bin", weights_only=True)
    assert all(torch.equal(before[name], tensor) for name, tensor in stored.items())
