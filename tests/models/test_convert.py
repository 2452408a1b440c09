"""GGUF and pickled weights become safetensors, once, completely, and with the same numbers."""

import errno
import json
import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from hostler.errors import ModelLoadError
from hostler.models import convert as convert_module
from hostler.models.convert import convert
from hostler.models.prepare import prepare
from hostler.models.repository_files import WeightsFormat
from hostler.models.source import LocalModel
from hostler.registry import FolderSource
from hostler.types import LoadProgress
from tests.models.specs import spec_of
from tests.tiny_gguf import write_gguf
from tests.tiny_models import build_tiny_model, save_as_pickle_repository

torch.set_num_threads(1)

PROMPT = torch.arange(5, 25).unsqueeze(0)


def logits_of(folder: Path, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    with torch.inference_mode():
        return model(input_ids=PROMPT).logits


def convert_quietly(local: LocalModel, cache: Path) -> LocalModel:
    unread: list[LoadProgress] = []
    return convert(local, cache, unread.append, name="owner/tiny")


def pickled(folder: Path) -> LocalModel:
    return LocalModel(folder, WeightsFormat.PICKLE)


@pytest.fixture
def opt_repository(tmp_path: Path) -> Path:
    return save_as_pickle_repository(build_tiny_model("opt", tmp_path / "opt"))


@pytest.mark.parametrize("family", ["opt", "opt_350m", "codegen", "gpt2"])
def test_converted_pickles_give_exactly_the_same_logits(family: str, tmp_path: Path) -> None:
    folder = build_tiny_model(family, tmp_path / "model")
    expected = logits_of(folder)
    save_as_pickle_repository(folder)
    converted = convert_quietly(pickled(folder), tmp_path / "cache")
    assert converted.weights_format is WeightsFormat.SAFETENSORS
    assert not list(converted.folder.glob("*.bin"))
    assert torch.equal(logits_of(converted.folder), expected)


def test_tied_weights_that_share_memory_in_the_pickle_stay_right(tmp_path: Path) -> None:
    folder = build_tiny_model("gpt2", tmp_path / "model")
    expected = logits_of(folder)
    state = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    assert state["lm_head.weight"].data_ptr() == state["transformer.wte.weight"].data_ptr()
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    converted = convert_quietly(pickled(folder), tmp_path / "cache")
    assert torch.equal(logits_of(converted.folder), expected)


def test_a_file_in_the_format_of_early_torch_is_read(tmp_path: Path) -> None:
    folder = save_as_pickle_repository(build_tiny_model("gpt2", tmp_path / "model"))
    state = torch.load(folder / "pytorch_model.bin", weights_only=True)
    torch.save(state, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    converted = convert_quietly(pickled(folder), tmp_path / "cache")
    assert logits_of(converted.folder).shape[1] == PROMPT.shape[1]


def test_split_pickles_become_split_safetensors(tmp_path: Path) -> None:
    folder = build_tiny_model("opt", tmp_path / "model")
    expected = logits_of(folder)
    save_as_pickle_repository(folder)
    state = torch.load(folder / "pytorch_model.bin", weights_only=True)
    (folder / "pytorch_model.bin").unlink()
    weight_map: dict[str, str] = {}
    for part in (1, 2):
        file = f"pytorch_model-0000{part}-of-00002.bin"
        tensors = dict(list(state.items())[part - 1 :: 2])
        torch.save(tensors, folder / file)
        weight_map |= dict.fromkeys(tensors, file)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    converted = convert_quietly(pickled(folder), tmp_path / "cache")
    assert torch.equal(logits_of(converted.folder), expected)


def test_half_precision_weights_stay_in_half_precision(opt_repository: Path, tmp_path: Path) -> None:
    state = torch.load(opt_repository / "pytorch_model.bin", weights_only=True)
    torch.save({name: tensor.half() for name, tensor in state.items()}, opt_repository / "pytorch_model.bin")
    converted = convert_quietly(pickled(opt_repository), tmp_path / "cache")
    tensors = load_file(converted.folder / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}


def test_supporting_files_are_copied_as_they_are(opt_repository: Path, tmp_path: Path) -> None:
    converted = convert_quietly(pickled(opt_repository), tmp_path / "cache")
    for name in ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"):
        assert (converted.folder / name).read_bytes() == (opt_repository / name).read_bytes()


def test_the_second_time_nothing_is_converted(opt_repository: Path, tmp_path: Path) -> None:
    first = convert_quietly(pickled(opt_repository), tmp_path / "cache")
    written = (first.folder / "model.safetensors").stat().st_mtime_ns
    seen: list[LoadProgress] = []
    assert convert(pickled(opt_repository), tmp_path / "cache", seen.append, name="owner/tiny") == first
    assert seen == []
    assert (first.folder / "model.safetensors").stat().st_mtime_ns == written


def test_a_changed_source_is_converted_anew(opt_repository: Path, tmp_path: Path) -> None:
    first = convert_quietly(pickled(opt_repository), tmp_path / "cache")
    os.utime(opt_repository / "pytorch_model.bin", (1, 1))
    assert convert_quietly(pickled(opt_repository), tmp_path / "cache").folder != first.folder


def test_a_commit_is_recognised_wherever_and_whenever_it_was_stored(opt_repository: Path, tmp_path: Path) -> None:
    local = LocalModel(opt_repository, WeightsFormat.PICKLE, revision="c0ffee")
    first = convert_quietly(local, tmp_path / "cache")
    assert first.revision == "c0ffee"
    os.utime(opt_repository / "pytorch_model.bin", (1, 1))
    assert convert_quietly(local, tmp_path / "cache") == first


def test_progress_counts_the_bytes_that_were_read(opt_repository: Path, tmp_path: Path) -> None:
    seen: list[LoadProgress] = []
    convert(pickled(opt_repository), tmp_path / "cache", seen.append, name="owner/tiny")
    size = (opt_repository / "pytorch_model.bin").stat().st_size
    assert [(p.stage, p.done_bytes, p.total_bytes) for p in seen] == [
        ("converting", 0, size),
        ("converting", size, size),
    ]


def test_a_conversion_that_dies_leaves_nothing_that_looks_finished(
    opt_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(convert_module, "save_file", die)
    with pytest.raises(KeyboardInterrupt):
        convert_quietly(pickled(opt_repository), tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]
    monkeypatch.undo()
    assert (convert_quietly(pickled(opt_repository), tmp_path / "cache").folder / "model.safetensors").is_file()


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_said_in_so_many_words(
    opt_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr(convert_module, "save_file", fail)
    with pytest.raises(ModelLoadError, match="no space is left on the disk"):
        convert_quietly(pickled(opt_repository), tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


def test_leftovers_of_killed_conversions_are_removed_and_others_are_not(opt_repository: Path, tmp_path: Path) -> None:
    abandoned, in_progress = (tmp_path / "cache" / f".converting-{name}" for name in ("left", "held"))
    for folder in (abandoned, in_progress):
        folder.mkdir(parents=True)
    with FileLock(f"{in_progress}.lock"):
        converted = convert_quietly(pickled(opt_repository), tmp_path / "cache")
    assert {path.name for path in (tmp_path / "cache").iterdir() if path.is_dir()} == {
        converted.folder.name,
        in_progress.name,
    }


def test_what_a_killed_conversion_of_the_same_model_has_left_is_not_used(opt_repository: Path, tmp_path: Path) -> None:
    first = convert_quietly(pickled(opt_repository), tmp_path / "cache").folder
    left = first.rename(first.with_name(f".converting-{first.name}"))
    (left / "model.safetensors").write_bytes(b"half")
    again = convert_quietly(pickled(opt_repository), tmp_path / "cache").folder
    assert load_file(again / "model.safetensors")
    assert [path.name for path in (tmp_path / "cache").iterdir() if path.is_dir()] == [again.name]


def test_of_two_conversions_at_once_one_waits_for_the_other(
    opt_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, second_came = threading.Event(), threading.Event()
    convert_pickles = convert_module._convert_pickles
    num_conversions = 0

    def convert_slowly(*args: Any) -> None:
        nonlocal num_conversions
        num_conversions += 1
        begun.set()
        assert second_came.wait(30)
        convert_pickles(*args)

    monkeypatch.setattr(convert_module, "_convert_pickles", convert_slowly)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(convert_quietly, pickled(opt_repository), tmp_path / "cache")
        assert begun.wait(30)
        second = threads.submit(convert_quietly, pickled(opt_repository), tmp_path / "cache")
        second_came.set()
        assert first.result(30) == second.result(30)
    assert num_conversions == 1


class _Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self._mark}",)


@pytest.mark.parametrize("by_torch", [True, False])
def test_a_pickle_that_wants_to_run_code_is_refused_and_not_run(
    opt_repository: Path, tmp_path: Path, *, by_torch: bool
) -> None:
    mark = tmp_path / "executed"
    payload = {"weight": _Payload(mark)}
    file = opt_repository / "pytorch_model.bin"
    if by_torch:
        torch.save(payload, file)
    else:
        file.write_bytes(pickle.dumps(payload, protocol=2))
    with pytest.raises(ModelLoadError, match=r"pytorch_model\.bin holds more than weights"):
        convert_quietly(pickled(opt_repository), tmp_path / "cache")
    assert not mark.exists()
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


def test_a_damaged_pickle_is_refused_without_local_paths(opt_repository: Path, tmp_path: Path) -> None:
    file = opt_repository / "pytorch_model.bin"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ModelLoadError, match="owner/tiny") as caught:
        convert_quietly(pickled(opt_repository), tmp_path / "cache")
    assert str(tmp_path) not in str(caught.value)


def test_a_gguf_file_becomes_the_same_model_in_bfloat16(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    original = build_tiny_model("llama_chat", tmp_path / "original")
    file = write_gguf(original, tmp_path / "tiny.gguf")
    capfd.readouterr()
    seen: list[LoadProgress] = []
    local = LocalModel(tmp_path, WeightsFormat.GGUF, file.name)
    converted = convert(local, tmp_path / "cache", seen.append, name="owner/tiny")
    assert capfd.readouterr() == ("", "")
    assert {progress.stage for progress in seen} == {"converting"}
    assert [p.done_bytes for p in seen] == sorted(p.done_bytes for p in seen)
    assert 0 < seen[-1].done_bytes <= seen[-1].total_bytes == file.stat().st_size

    assert torch.equal(logits_of(converted.folder, torch.bfloat16), logits_of(original, torch.bfloat16))
    tokenizer, expected = (AutoTokenizer.from_pretrained(folder) for folder in (converted.folder, original))
    text = "Größe, 馬 and\n  def f(x):"
    assert tokenizer(text).input_ids == expected(text).input_ids
    assert tokenizer.eos_token_id == expected.eos_token_id
    assert tokenizer.chat_template == expected.chat_template


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ModelLoadError, match="owner/tiny could not be loaded"):
        convert_quietly(LocalModel(tmp_path, WeightsFormat.GGUF, "tiny.gguf"), tmp_path / "cache")


def test_prepare_converts_what_is_pickled_and_leaves_safetensors_where_they_are(tmp_path: Path) -> None:
    safe = build_tiny_model("gpt2", tmp_path / "safe")
    unsafe = save_as_pickle_repository(build_tiny_model("opt", tmp_path / "unsafe"))
    folders = []
    for folder in (safe, unsafe):
        unread: list[LoadProgress] = []
        local = prepare(
            spec_of(FolderSource(path=str(folder))),
            cache_dir=None,
            hostler_cache_dir=str(tmp_path / "hostler"),
            hf_token=None,
            on_progress=unread.append,
        )
        assert local.weights_format is WeightsFormat.SAFETENSORS
        folders.append(local.folder)
    assert folders[0] == safe
    assert folders[1].parent == tmp_path / "hostler" / "converted"
