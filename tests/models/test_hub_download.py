"""Files that grow in the hub's cache: what a broken line costs, and what huggingface_hub finds there."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest

from hostler.errors import GatedModelError, ModelLoadError
from hostler.models import hub_download
from hostler.models.hub import HubAccess
from hostler.models.hub_download import RemoteModel, check_space, download, look_up
from hostler.registry import HubSource
from tests.fake_hub import FakeHub

SOURCE = HubSource(repo_id="acme/tiny")
NUM_BYTES = 2**20


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as hub:
        yield hub


@pytest.fixture
def access(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HubAccess:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub_download, "sleep", lambda _: None)
    return HubAccess(cache_dir=tmp_path / "cache", endpoint=hub.url)


@pytest.fixture
def content(hub: FakeHub, tmp_path: Path) -> bytes:
    """Of the weights of a repository."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(os.urandom(NUM_BYTES))
    hub.add_repository("acme/tiny", folder, large=True)
    return (folder / "model.safetensors").read_bytes()


def found(access: HubAccess) -> RemoteModel:
    return look_up(SOURCE, access, allow_pickle=True, with_code=False)


def fetch_weights(access: HubAccess) -> list[int]:
    """Downloads them; how much was here each time that was told."""
    model = found(access)
    (weights,) = (file for file in model.files if file.name == "model.safetensors")
    told: list[int] = []
    download(model, weights, access, told.append)
    return told


def test_a_line_that_breaks_is_taken_up_where_it_broke(hub: FakeHub, access: HubAccess, content: bytes) -> None:
    hub.break_at = 300_000
    told = fetch_weights(access)
    begun_at = [request.first_byte for request in hub.requests if request.path.endswith(".safetensors")]
    assert begun_at[0] == 0
    assert 0 < begun_at[1] <= 300_000
    assert told == sorted(told)
    assert told[-1] == NUM_BYTES


def test_a_server_that_sends_all_again_costs_time_and_no_damage(
    hub: FakeHub, access: HubAccess, content: bytes
) -> None:
    hub.break_at = 300_000
    hub.ignores_range = True
    fetch_weights(access)
    (weights,) = (file for file in found(access).files if file.name == "model.safetensors")
    assert weights.path.read_bytes() == content


def test_a_line_that_never_comes_back_is_given_up_and_keeps_what_came(
    hub: FakeHub, access: HubAccess, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    def break_again(seconds: float) -> None:
        pauses.append(seconds)
        hub.break_at = 0

    monkeypatch.setattr(hub_download, "sleep", break_again)
    hub.break_at = 300_000
    with pytest.raises(ModelLoadError, match="the hub cannot be reached"):
        fetch_weights(access)
    assert len(pauses) == 4
    assert 0 < found(access).done_bytes <= 300_000


def test_huggingface_hub_finds_the_files_and_fetches_none_again(
    hub: FakeHub, access: HubAccess, content: bytes
) -> None:
    model = found(access)
    for file in model.files:
        download(model, file, access, lambda _: None)
    num_gets = len([request for request in hub.requests if request.method == "GET" and "/resolve/" in request.path])
    folder = huggingface_hub.snapshot_download("acme/tiny", cache_dir=access.cache_dir, endpoint=hub.url, token=False)
    assert (Path(folder) / "model.safetensors").read_bytes() == content
    gets = [request for request in hub.requests if request.method == "GET" and "/resolve/" in request.path]
    assert len(gets) == num_gets


def test_what_is_here_counts_against_the_space_that_is_needed(
    access: HubAccess, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=NUM_BYTES // 2))
    with pytest.raises(ModelLoadError, match="1 MiB have to be downloaded"):
        check_space([found(access)], access)
    (weights,) = (file for file in found(access).files if file.name == "model.safetensors")
    weights.partial.parent.mkdir(parents=True)
    weights.partial.write_bytes(content[: NUM_BYTES * 3 // 4])
    check_space([found(access)], access)


def test_a_gated_file_says_where_to_ask(hub: FakeHub, access: HubAccess, content: bytes, tmp_path: Path) -> None:
    hub.add_repository("acme/tiny", tmp_path / "model", gated=True)
    with pytest.raises(GatedModelError, match=r"https://huggingface\.co/acme/tiny"):
        fetch_weights(access)
