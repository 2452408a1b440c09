"""A folder of models while it is written to."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from filelock import FileLock

from hostler.config import Settings
from hostler.errors import ConfigError, ServiceError
from hostler.models import bundle as bundle_module
from hostler.models.bundle import Bundle
from hostler.models.bundle_manifest import differences, read_manifest
from hostler.registry import FolderSource, Registry, load_registry
from hostler.yaml_file import read_yaml

ENTRY = {"name": "owner/tiny", "type": "text", "size": "1M", "description": "Tiny", "max_length": 64}


class Source(NamedTuple):
    """A model's files somewhere else on this machine."""

    folder: Path

    def write(self, **contents: str) -> None:
        self.folder.mkdir(exist_ok=True)
        for name, content in contents.items():
            (self.folder / name.replace("_", ".")).write_text(content)

    @property
    def files(self) -> dict[str, Path]:
        return {path.name: path for path in self.folder.iterdir()}


@pytest.fixture
def source(tmp_path: Path) -> Source:
    source = Source(tmp_path / "source")
    source.write(config_json="{}", model_safetensors="weights" * 1000, tokenizer_json="{}")
    return source


def add(
    folder: Path, source: Source, model_id: str = "tiny", on_bytes: Callable[[int, int], None] | None = None
) -> bool:
    with Bundle.opened(folder) as bundle:
        return bundle.add(
            model_id,
            ENTRY,
            source.files,
            origin="hub owner/tiny",
            commit="a" * 40,
            on_bytes=on_bytes or (lambda _done, _total: None),
        )


def registry_of(folder: Path) -> Registry:
    return load_registry(read_yaml(folder / "models.yaml"), Settings())


def content_of(folder: Path) -> dict[str, Any]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def test_a_bundle_holds_the_files_and_a_registry_that_finds_them_wherever_it_lies(
    tmp_path: Path, source: Source
) -> None:
    add(tmp_path / "bundle", source)
    moved = (tmp_path / "bundle").rename(tmp_path / "elsewhere")

    spec = registry_of(moved)["tiny"]

    assert (spec.name, spec.size, spec.max_length) == ("owner/tiny", "1M", 64)
    assert spec.source == FolderSource(path=str(moved / "models" / "tiny"))
    assert {path.name for path in (moved / "models" / "tiny").iterdir()} == set(source.files)
    manifest = read_manifest(moved)
    assert manifest is not None
    assert (manifest.models["tiny"].origin, manifest.models["tiny"].commit) == ("hub owner/tiny", "a" * 40)
    assert list(differences(moved / "models" / "tiny", manifest.models["tiny"].files)) == []


def test_no_file_of_a_bundle_is_a_link_or_names_the_machine_it_was_made_on(tmp_path: Path, source: Source) -> None:
    blobs = tmp_path / "blobs"
    (source.folder / "model.safetensors").rename(blobs)
    (source.folder / "model.safetensors").symlink_to(blobs)

    add(tmp_path / "bundle", source)

    paths = list((tmp_path / "bundle").rglob("*"))
    assert not any(path.is_symlink() for path in paths)
    assert not any(str(tmp_path).encode() in content for content in content_of(tmp_path / "bundle").values())


def test_models_are_added_to_those_that_are_there(tmp_path: Path, source: Source) -> None:
    add(tmp_path / "bundle", source, "first")
    add(tmp_path / "bundle", source, "second")

    assert list(registry_of(tmp_path / "bundle")) == ["first", "second"]


def test_a_model_that_is_there_already_is_not_copied_again(tmp_path: Path, source: Source) -> None:
    told: list[tuple[int, int]] = []
    assert add(tmp_path / "bundle", source)
    before = content_of(tmp_path / "bundle")

    assert not add(tmp_path / "bundle", source, on_bytes=lambda done, total: told.append((done, total)))

    assert told == []
    assert content_of(tmp_path / "bundle") == before


def test_a_model_whose_files_have_changed_is_replaced_whole(tmp_path: Path, source: Source) -> None:
    add(tmp_path / "bundle", source)
    (source.folder / "tokenizer.json").unlink()
    source.write(model_safetensors="others", vocab_txt="words")

    assert add(tmp_path / "bundle", source)

    model = tmp_path / "bundle" / "models" / "tiny"
    assert content_of(model) == content_of(source.folder)
    assert [path.name for path in model.parent.iterdir()] == ["tiny"]


def test_a_copy_that_was_cut_off_is_completed_without_copying_again_what_is_whole(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle_module, "CHUNK_BYTES", 100)

    def cut_off(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        add(tmp_path / "bundle", source, on_bytes=cut_off)
    assert read_manifest(tmp_path / "bundle").models == {}  # type: ignore[union-attr]
    told: list[int] = []

    assert add(tmp_path / "bundle", source, on_bytes=lambda done, _total: told.append(done))

    assert told[0] == len("{}")
    assert content_of(tmp_path / "bundle" / "models" / "tiny") == content_of(source.folder)


def test_a_bundle_that_was_damaged_is_mended(tmp_path: Path, source: Source) -> None:
    add(tmp_path / "bundle", source)
    (tmp_path / "bundle" / "models" / "tiny" / "model.safetensors").write_text("damaged")

    assert add(tmp_path / "bundle", source)

    assert content_of(tmp_path / "bundle" / "models" / "tiny") == content_of(source.folder)


def test_an_end_between_the_manifest_and_the_folder_is_made_up_for(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(target: Path, staging: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(bundle_module, "_replace_folder", cut_off)
        with pytest.raises(KeyboardInterrupt):
            add(tmp_path / "bundle", source)

    assert add(tmp_path / "bundle", source)
    assert content_of(tmp_path / "bundle" / "models" / "tiny") == content_of(source.folder)


@pytest.mark.parametrize("name", ["notes.txt", "models.yaml", "manifest.json"])
def test_a_folder_with_something_else_in_it_is_left_as_it_is(tmp_path: Path, source: Source, name: str) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / name).write_text("{}")

    with pytest.raises(ConfigError, match="holds something else"):
        add(tmp_path / "bundle", source)

    assert content_of(tmp_path / "bundle") == {name: b"{}"}
    assert not (tmp_path / "bundle" / ".lock").exists()


def test_a_file_in_place_of_the_folder_is_left_as_it_is(tmp_path: Path, source: Source) -> None:
    (tmp_path / "bundle").write_text("mine")

    with pytest.raises(ConfigError, match="name a new or an empty folder"):
        add(tmp_path / "bundle", source)

    assert (tmp_path / "bundle").read_text() == "mine"


def test_an_empty_folder_is_taken(tmp_path: Path, source: Source) -> None:
    (tmp_path / "bundle").mkdir()

    assert add(tmp_path / "bundle", source)


def test_a_model_folder_that_no_manifest_knows_is_left_as_it_is(tmp_path: Path, source: Source) -> None:
    add(tmp_path / "bundle", source, "first")
    own = tmp_path / "bundle" / "models" / "tiny"
    own.mkdir()
    (own / "model.safetensors").write_text("mine")

    with pytest.raises(ConfigError, match="not of this bundle's making"):
        add(tmp_path / "bundle", source)

    assert (own / "model.safetensors").read_text() == "mine"
    assert list(registry_of(tmp_path / "bundle")) == ["first"]


def test_a_registry_that_was_changed_by_hand_is_not_overwritten(tmp_path: Path, source: Source) -> None:
    add(tmp_path / "bundle", source)
    registry = tmp_path / "bundle" / "models.yaml"
    registry.write_text(registry.read_text() + "settings: {max_concurrent_models: 1}\n")
    before = registry.read_text()

    with pytest.raises(ConfigError, match="changed by hand"):
        add(tmp_path / "bundle", source, "second")

    assert registry.read_text() == before


def test_a_second_writer_is_refused(tmp_path: Path, source: Source) -> None:
    add(tmp_path / "bundle", source)

    with FileLock(tmp_path / "bundle" / ".lock"), pytest.raises(ConfigError, match="wait until it has ended"):
        add(tmp_path / "bundle", source, "second")


def test_too_little_room_is_said_before_anything_is_copied(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1))

    with pytest.raises(ServiceError, match="has room for 0 MiB, and 0 MiB are to be copied"):
        add(tmp_path / "bundle", source)

    assert not [path for path in (tmp_path / "bundle" / "models").rglob("*") if path.is_file()]


def test_a_place_that_cannot_be_written_is_an_error_with_its_reason(tmp_path: Path, source: Source) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ServiceError, match="cannot be written"):
        add(tmp_path / "file" / "bundle", source)


def test_a_source_that_changes_under_the_copy_is_found_out(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(done: int, total: int) -> None:
        if done == 0:
            source.write(model_safetensors="WEIGHTS" * 1000)

    with pytest.raises(ServiceError, match=r"model\.safetensors changed while it was copied"):
        add(tmp_path / "bundle", source, on_bytes=change)

    assert not (tmp_path / "bundle" / "models" / "tiny").exists()
