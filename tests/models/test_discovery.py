"""What is found in a cache and in folders, and what is not."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from hostler.models.discovery import find_in_cache, find_in_folder
from hostler.models.hub import HubAccess
from hostler.registry import FolderSource, HubSource
from hostler.types import ModelType
from tests.tiny_encoders import build_classifier, build_encoder, write_modules
from tests.tiny_gguf import write_gguf
from tests.tiny_models import build_tiny_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model("llama", tmp_path_factory.mktemp("discovery") / "tiny")


@pytest.fixture(scope="module")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Alone in its folder."""
    folder = tmp_path_factory.mktemp("gguf")
    model = build_tiny_model("llama_chat", folder / "model")
    (folder / "files").mkdir()
    return write_gguf(model, folder / "files" / "tiny.gguf")


def edit(folder: Path, name: str, **changes: Any) -> None:
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def into_cache(cache: Path, repo_id: str, model: Path, *, commit: str = COMMIT, has_main: bool = True) -> Path:
    """Its snapshot, laid out as the hub's library does."""
    repository = cache / f"models--{repo_id.replace('/', '--')}"
    snapshot = repository / "snapshots" / commit
    shutil.copytree(model, snapshot)
    if has_main:
        (repository / "refs").mkdir(exist_ok=True)
        (repository / "refs" / "main").write_text(commit)
    return snapshot


def test_complete_repositories_of_the_cache_are_found_by_name(tmp_path: Path, tiny: Path) -> None:
    into_cache(tmp_path, "owner/b-model", tiny)
    into_cache(tmp_path, "a-model", tiny)
    (tmp_path / "datasets--owner--data").mkdir()
    (tmp_path / "models--owner--nothing").mkdir()
    found = find_in_cache(HubAccess(tmp_path))
    assert [model.name for model in found] == ["a-model", "owner/b-model"]
    assert found[1].source == HubSource(repo_id="owner/b-model")
    assert found[1].place == "the hub's cache"
    assert found[1].max_length == json.loads((tiny / "config.json").read_text())["max_position_embeddings"]


def test_a_repository_of_another_branch_is_found_as_what_was_fetched(tmp_path: Path, tiny: Path) -> None:
    into_cache(tmp_path, "owner/model", tiny, has_main=False)
    (found,) = find_in_cache(HubAccess(tmp_path))
    assert found.source == HubSource(repo_id="owner/model", revision=COMMIT)


def test_a_download_that_was_broken_off_is_not_found(tmp_path: Path, tiny: Path) -> None:
    (into_cache(tmp_path, "owner/no-weights", tiny) / "model.safetensors").unlink()
    (into_cache(tmp_path, "owner/no-config", tiny) / "config.json").unlink()
    half = into_cache(tmp_path, "owner/half", tiny)
    (half / "model.safetensors").unlink()
    (half / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "model-1-of-2.safetensors"}}))
    assert find_in_cache(HubAccess(tmp_path)) == []


def test_a_damaged_repository_hides_no_other(tmp_path: Path, tiny: Path, caplog: pytest.LogCaptureFixture) -> None:
    (into_cache(tmp_path, "owner/damaged", tiny) / "config.json").write_text("{")
    (into_cache(tmp_path, "owner/list", tiny) / "config.json").write_text("[]")
    into_cache(tmp_path, "owner/sound", tiny)
    assert [model.name for model in find_in_cache(HubAccess(tmp_path))] == ["owner/sound"]
    assert "not_discovered name=models--owner--damaged" in caplog.text


def test_a_cache_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert find_in_cache(HubAccess(tmp_path / "none")) == []


def test_the_only_gguf_file_of_a_cached_repository_is_called_as_that(tmp_path: Path, tiny_gguf: Path) -> None:
    into_cache(tmp_path, "owner/tiny-GGUF", tiny_gguf.parent)
    (found,) = find_in_cache(HubAccess(tmp_path))
    assert (found.name, found.is_pickled, found.type) == ("owner/tiny-GGUF", False, ModelType.CONVERSATIONAL)
    assert found.source == HubSource(repo_id="owner/tiny-GGUF", file=tiny_gguf.name)


def test_each_of_several_gguf_files_of_a_cached_repository_is_found(tmp_path: Path, tiny_gguf: Path) -> None:
    snapshot = into_cache(tmp_path, "owner/tiny-GGUF", tiny_gguf.parent, has_main=False)
    shutil.copyfile(tiny_gguf, snapshot / "other.gguf")
    found = {model.name: model.source for model in find_in_cache(HubAccess(tmp_path))}
    assert found == {
        name: HubSource(repo_id="owner/tiny-GGUF", revision=COMMIT, file=f"{name}.gguf") for name in ("other", "tiny")
    }


def test_gguf_files_of_a_folder_are_found_with_their_length(tmp_path: Path, tiny_gguf: Path) -> None:
    shutil.copytree(tiny_gguf.parent, tmp_path / "models" / "inner")
    (tmp_path / "models" / "damaged.gguf").write_bytes(b"GGUF")
    (found,) = find_in_folder(tmp_path / "models")
    assert found.name == "tiny"
    assert found.source == FolderSource(path=str(tmp_path / "models" / "inner"), file="tiny.gguf")
    assert found.max_length == 128


def test_a_folder_of_models_is_searched_one_level_deep(tmp_path: Path, tiny: Path) -> None:
    shutil.copytree(tiny, tmp_path / "model")
    shutil.copytree(tiny, tmp_path / "deeper" / "model")
    shutil.copytree(tiny, tmp_path / ".hidden")
    shutil.copytree(tiny, tmp_path / "embedder")
    edit(tmp_path / "embedder", "config.json", architectures=["LlamaModel"])
    (found,) = find_in_folder(tmp_path)
    assert (found.name, found.source) == ("model", FolderSource(path=str(tmp_path / "model")))


def test_a_folder_that_is_a_model_is_found_itself(tiny: Path) -> None:
    (found,) = find_in_folder(tiny)
    assert found.source == FolderSource(path=str(tiny))


def test_the_size_is_that_of_the_parameters(tmp_path: Path, tiny: Path) -> None:
    shutil.copytree(tiny, tmp_path / "model")
    edit(tmp_path / "model", "config.json", dtype="float32")
    num_bytes = (tiny / "model.safetensors").stat().st_size
    (found,) = find_in_folder(tmp_path)
    assert found.size == f"{num_bytes // 4 / 1000:.3g}K"
    edit(tmp_path / "model", "config.json", quantization_config={})
    (found,) = find_in_folder(tmp_path)
    assert found.size == "0.0GiB"


@pytest.mark.parametrize("has_file", [True, False])
def test_a_chat_template_tells_what_a_model_is_for(tmp_path: Path, tiny: Path, has_file: bool) -> None:
    model = shutil.copytree(tiny, tmp_path / "model")
    (model / "chat_template.jinja").unlink(missing_ok=True)
    edit(model, "tokenizer_config.json", chat_template=None)
    assert [found.type for found in find_in_folder(tmp_path)] == [ModelType.TEXT]
    if has_file:
        (model / "chat_template.jinja").write_text("{{ messages }}")
    else:
        edit(model, "tokenizer_config.json", chat_template="{{ messages }}")
    assert [found.type for found in find_in_folder(tmp_path)] == [ModelType.CONVERSATIONAL]


def test_models_that_read_are_found_with_their_types(tmp_path: Path) -> None:
    build_encoder("bert", tmp_path / "encoder")
    write_modules(build_encoder("qwen3", tmp_path / "qwen"), {"pooling_mode": "lasttoken"})
    build_classifier("roberta", tmp_path / "moods", ["bad", "good"])
    build_classifier("bert", tmp_path / "ranks", ["relevance"])
    assert {found.name: found.type for found in find_in_folder(tmp_path)} == {
        "encoder": ModelType.EMBEDDING,
        "qwen": ModelType.EMBEDDING,
        "moods": ModelType.CLASSIFIER,
        "ranks": ModelType.RERANKER,
    }
