"""What a bundle should hold, and what it holds."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from hostler.models.bundle_manifest import (
    BundledFile,
    BundledModel,
    Manifest,
    differences,
    encode_manifest,
    read_manifest,
)


def file_of(path: str, content: bytes = b"content") -> BundledFile:
    return BundledFile(path=path, num_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "code").mkdir()
    for name in ("model.safetensors", "code/model.py"):
        (tmp_path / name).write_bytes(b"content")
    return tmp_path


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    model = BundledModel(origin="folder", commit=None, entry={"name": "a/b"}, files=(file_of("config.json"),))
    manifest = Manifest(models={"b": model}, made_by="hostler 1.0.0")

    (tmp_path / "manifest.json").write_bytes(encode_manifest(manifest))

    assert read_manifest(tmp_path) == manifest


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"models": {}, "made_by": "x", "format": "another"}'])
def test_what_is_no_manifest_of_a_bundle_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)

    assert read_manifest(tmp_path) is None


def test_a_folder_without_one_has_none(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) is None


def test_a_folder_that_is_as_it_was_has_no_differences(folder: Path) -> None:
    assert list(differences(folder, (file_of("model.safetensors"), file_of("code/model.py")))) == []


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda path: path.unlink(), "model.safetensors is missing."),
        (lambda path: path.write_bytes(b"short"), "model.safetensors has 5 bytes instead of 7."),
        (lambda path: path.write_bytes(b"Content"), "model.safetensors has another content than when it was pulled."),
        (
            lambda path: path.with_name("extra.py").write_bytes(b"import os"),
            "extra.py was not there when it was pulled.",
        ),
    ],
    ids=["missing", "shorter", "changed", "added"],
)
def test_every_difference_is_a_sentence(folder: Path, damage: Callable[[Path], object], sentence: str) -> None:
    damage(folder / "model.safetensors")

    assert list(differences(folder, (file_of("model.safetensors"), file_of("code/model.py")))) == [sentence]


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "a/../../b", ""])
def test_a_manifest_that_leads_out_of_its_folder_is_not_followed(folder: Path, path: str) -> None:
    found = list(differences(folder / "code", (file_of("model.py"), file_of(path))))

    assert found == [f"The manifest names {path!r}, which is outside of the model's folder."]
