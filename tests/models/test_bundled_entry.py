"""What a bundle's registry says of a model."""

import math
from pathlib import Path
from typing import Any

import pytest

from hostler.config import Settings
from hostler.models.bundled_entry import bundled_entry, origin_of
from hostler.models.repository_files import WeightsFormat
from hostler.models.source import LocalModel
from hostler.registry import FolderSource, HubSource, ModelEntry, PackageSource, Source
from tests.models.specs import spec_of

MODELS_OWN: dict[str, Any] = {
    "torch_dtype": "float16",
    "trust_remote_code": True,
    "use_fast_tokenizer": False,
    "default_max_length": 7,
    "max_num_seqs": 5,
    "max_queued_requests": 6,
    "max_num_batched_tokens": 99,
    "reuse_prefixes": False,
    "kv_cache_bytes": 2**30,
    "pinned": True,
}


@pytest.mark.parametrize("keep_alive_s", [None, 0.0, 300.0, math.inf])
def test_an_entry_read_again_is_the_same_model(keep_alive_s: float | None) -> None:
    spec = spec_of("owner/tiny", keep_alive_s=keep_alive_s, **MODELS_OWN)

    read = ModelEntry.model_validate(bundled_entry(spec)).spec(spec.id, Settings(), Path())

    expected = spec_of("owner/tiny", keep_alive_s=keep_alive_s, device="auto", **MODELS_OWN)
    assert read == expected


def test_what_is_the_default_is_left_to_the_other_machine() -> None:
    defaults = {name: Settings.model_fields[name].default for name in ("torch_dtype", "max_num_seqs")}
    defaults |= {
        name: Settings.model_fields[name].default for name in ("max_queued_requests", "max_num_batched_tokens")
    }

    entry = bundled_entry(spec_of("owner/tiny", **defaults, device="cuda:1", gated=True, allow_pickle=False))

    assert set(entry) == {"name", "type", "size", "description", "max_length", "suggested_temperature"}


@pytest.mark.parametrize(
    ("source", "revision", "origin"),
    [
        (HubSource(repo_id="owner/other"), "a" * 40, "hub owner/other"),
        (FolderSource(path="/home/somebody/model"), None, "folder"),
        (PackageSource(package="shelf", file="m.gguf", otherwise=HubSource(repo_id="a/b")), None, "package shelf"),
        (PackageSource(package="shelf", file="m.gguf", otherwise=HubSource(repo_id="a/b")), "b" * 40, "hub a/b"),
    ],
    ids=["hub", "folder", "package", "package-elsewhere"],
)
def test_an_origin_tells_where_from_and_no_path(source: Source, revision: str | None, origin: str) -> None:
    local = LocalModel(Path("/somewhere"), WeightsFormat.SAFETENSORS, revision=revision)

    assert origin_of(spec_of(source), local) == origin
