"""Registered and found models side by side."""

import shutil
from pathlib import Path

import pytest

from hostler.catalogue import read_catalogue
from hostler.errors import ConfigError
from hostler.registry import FolderSource, HubSource
from tests.tiny_gguf import write_gguf
from tests.tiny_models import build_tiny_model

ENTRY = "{{name: {name}, type: text, size: 1M, description: d, max_length: 64{more}}}"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model("gpt2", tmp_path_factory.mktemp("catalogue") / "tiny")


def write(path: Path, *, discover: str, name: str = "acme/listed", more: str = "", model_id: str = "listed") -> Path:
    entry = ENTRY.format(name=name, more=more)
    path.write_text(f"models:\n  {model_id}: {entry}\nsettings: {{discover: {discover}, trust_remote_code: true}}\n")
    return path


def test_found_models_come_after_the_registered_ones_and_run_no_code(tmp_path: Path, tiny: Path) -> None:
    for name in ("b", "a with spaces"):
        shutil.copytree(tiny, tmp_path / "models" / name)
    registry = read_catalogue(write(tmp_path / "models.yaml", discover="[models]"))[1]
    assert list(registry) == ["listed", "a-with-spaces", "b"]
    found = registry["b"]
    assert found.source == FolderSource(path=str(tmp_path / "models" / "b"))
    assert (found.trust_remote_code, found.type.value) == (False, "text")
    assert found.description == f"Found in {tmp_path / 'models'}"
    assert registry["listed"].trust_remote_code


def test_a_registered_folder_is_not_listed_twice(tmp_path: Path, tiny: Path) -> None:
    shutil.copytree(tiny, tmp_path / "models" / "mine")
    path = write(tmp_path / "models.yaml", discover="[models, ./models]", more=", source: {folder: models/mine}")
    assert list(read_catalogue(path)[1]) == ["listed"]


def test_a_registered_name_is_not_listed_twice(tmp_path: Path, tiny: Path) -> None:
    snapshot = tmp_path / "hub" / "models--acme--listed" / "snapshots" / "c0ffee"
    shutil.copytree(tiny, snapshot)
    path = write(tmp_path / "models.yaml", discover="[cache]", name="Acme/Listed")
    assert list(read_catalogue(path, {"cache_dir": tmp_path / "hub"})[1]) == ["listed"]
    path = write(tmp_path / "models.yaml", discover="[cache]", name="acme/other")
    registry = read_catalogue(path, {"cache_dir": tmp_path / "hub"})[1]
    assert list(registry) == ["listed", "acme--listed"]
    assert registry.resolve("acme/listed").id == "acme--listed"


def test_gguf_files_of_the_cache_are_loaded_from_their_repository(tmp_path: Path) -> None:
    model = build_tiny_model("llama_chat", tmp_path / "model")
    snapshot = tmp_path / "hub" / "models--acme--tiny-GGUF" / "snapshots" / "c0ffee"
    snapshot.mkdir(parents=True)
    for name in ("tiny-q8", "tiny-q4"):
        write_gguf(model, snapshot / f"{name}.gguf")
    path = write(tmp_path / "models.yaml", discover="[cache]")
    registry = read_catalogue(path, {"cache_dir": tmp_path / "hub"})[1]
    assert list(registry) == ["listed", "tiny-q4", "tiny-q8"]
    assert registry["tiny-q8"].source == HubSource(repo_id="acme/tiny-GGUF", revision="c0ffee", file="tiny-q8.gguf")


@pytest.mark.parametrize(("model_id", "name"), [("mine", "acme/listed"), ("listed", "mine")])
def test_a_found_model_never_takes_an_id_or_a_name_that_is_registered(
    tmp_path: Path, tiny: Path, model_id: str, name: str
) -> None:
    shutil.copytree(tiny, tmp_path / "models" / "mine")
    path = write(tmp_path / "models.yaml", discover="[models]", model_id=model_id, name=name)
    registry = read_catalogue(path)[1]
    assert list(registry) == [model_id, "mine-2"]
    assert registry.resolve("mine").id == model_id


def test_a_place_that_is_no_folder_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="discover: 'nowhere' is no folder"):
        read_catalogue(write(tmp_path / "models.yaml", discover="[nowhere]"))


def test_pickled_models_are_not_found_where_they_may_not_be_read(tmp_path: Path, tiny: Path) -> None:
    model = shutil.copytree(tiny, tmp_path / "models" / "mine")
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    path = write(tmp_path / "models.yaml", discover="[models]")
    assert list(read_catalogue(path)[1]) == ["listed", "mine"]
    assert list(read_catalogue(path, {"allow_pickle": False})[1]) == ["listed"]
