"""`hostler pull`, against a hub on this machine."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from hostler.cli import pulling
from hostler.errors import ModelLoadError
from hostler.testing.worker import FakeLauncher
from hostler.types import LoadProgress
from tests.cli.conftest import Run
from tests.fake_hub import FakeHub

ENTRY = "  {0}: {{name: acme/{0}, type: text, size: 1M, description: d, max_length: 128{1}}}\n"
TOKEN = "hf_allowed0123456789"
CONFIG = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    with FakeHub() as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr(
            "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
            hub.url + "/{repo_id}/resolve/{revision}/{filename}",
        )
        monkeypatch.setenv("TRANSFORMERS_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("HOSTLER_CACHE_DIR", str(tmp_path / "own"))
        yield hub


class Folders(NamedTuple):
    safetensors: Path
    pickled: Path


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """Two repositories; the second has to be converted."""
    made = Folders(tmp_path / "safetensors", tmp_path / "pickled")
    for folder, weights in zip(made, ("model.safetensors", "pytorch_model.bin"), strict=True):
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(CONFIG))
        (folder / "tokenizer.json").write_text("{}")
        (folder / weights).write_bytes(os.urandom(3 * 2**20))
    return made


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "models.yaml"
    entries = "".join((ENTRY.format("tiny", ""), ENTRY.format("other", ""), ENTRY.format("gated", ", gated: true")))
    path.write_text(f"models:\n{entries}")
    return str(path)


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> FakeLauncher:
    launcher = FakeLauncher()
    monkeypatch.setattr(pulling, "ForkserverLauncher", lambda _: launcher)
    return launcher


def partial_file(tmp_path: Path) -> Path:
    (found,) = (tmp_path / "cache").rglob("*.pulled")
    return found


def test_several_models_are_fetched_at_once_and_need_no_hub_again(
    run: Run, hub: FakeHub, folders: Folders, config: str
) -> None:
    commit = hub.add_repository("acme/tiny", folders.safetensors)
    hub.add_repository("acme/other", folders.safetensors)
    first = run("pull", "tiny", "acme/Other", "--config", config)
    num_requests = len(hub.requests)
    again = run("pull", "tiny", "--config", config)

    assert first.exit_code == 0, first.output
    assert first.stdout.splitlines()[0] == f"tiny: 3 files, 3 MiB at commit {commit[:12]}"
    assert first.stdout.splitlines()[2] == f"tiny is here: safetensors, commit {commit[:12]}; downloaded 3 MiB"
    assert again.stdout == f"tiny is here: safetensors, commit {commit[:12]}; all of it was here\n"
    assert len(hub.requests) == num_requests


def test_the_result_is_json_for_programs(run: Run, hub: FakeHub, folders: Folders, config: str) -> None:
    commit = hub.add_repository("acme/tiny", folders.safetensors)
    (pulled,) = json.loads(run("pull", "tiny", "--config", config, "--json").stdout)

    assert (pulled["model_id"], pulled["commit"], pulled["format"]) == ("tiny", commit, "safetensors")
    assert pulled["downloaded_bytes"] > 3 * 2**20
    assert (Path(pulled["folder"]) / "model.safetensors").stat().st_size == 3 * 2**20


def test_what_is_no_safetensors_is_converted_and_each_stage_told_once(
    run: Run, hub: FakeHub, folders: Folders, config: str, launcher: FakeLauncher
) -> None:
    hub.add_repository("acme/tiny", folders.pickled)
    launcher.model("tiny").progress = [
        LoadProgress(stage="converting", done_bytes=1, total_bytes=2),
        LoadProgress(stage="converting", done_bytes=2, total_bytes=2),
        LoadProgress(stage="loading"),
    ]
    result = run("pull", "tiny", "--config", config)

    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[1:3] == ["tiny: converting", "tiny: loading"]
    assert lines[3].startswith("tiny is ready: FakeForCausalLM, 1M parameters, 4 MB in float32, commit ")
    assert launcher.alive == []
    assert launcher.is_closed


def test_a_conversion_that_fails_is_one_line_and_leaves_no_process(
    run: Run, hub: FakeHub, folders: Folders, config: str, launcher: FakeLauncher
) -> None:
    hub.add_repository("acme/tiny", folders.pickled)
    launcher.model("tiny").load_error = ModelLoadError("tiny is refused: it may run code")
    result = run("pull", "tiny", "--config", config)

    assert result.exit_code == 1
    assert result.stderr == "hostler: tiny is refused: it may run code\n"
    assert launcher.alive == []


@pytest.mark.parametrize("is_whole_again", [True, False])
def test_a_file_that_broke_off_goes_on_where_it_ended(
    run: Run, hub: FakeHub, folders: Folders, config: str, tmp_path: Path, is_whole_again: bool
) -> None:
    hub.add_repository("acme/tiny", folders.safetensors, large=True)
    content = (folders.safetensors / "model.safetensors").read_bytes()
    run("pull", "tiny", "--config", config)
    cache = tmp_path / "cache"
    (blob,) = (path for path in cache.rglob("blobs/*") if path.stat().st_size == len(content))
    shutil.rmtree(cache / "models--acme--tiny" / "snapshots")
    beginning = content[: 2**20] if is_whole_again else b"\0" * 2**20
    blob.with_name(f"{blob.name}.pulled").write_bytes(beginning)
    blob.unlink()
    hub.requests.clear()
    result = run("pull", "tiny", "--config", config)

    assert 2**20 in [request.first_byte for request in hub.requests]
    if is_whole_again:
        assert "of which 1 MiB are here" in result.stdout
        assert blob.read_bytes() == content
    else:
        assert result.stderr.startswith("hostler: model.safetensors of acme/tiny came damaged and was thrown away")
        assert not list(cache.rglob("*.pulled"))


def test_a_disk_that_is_too_small_is_known_before_anything_is_downloaded(
    run: Run, hub: FakeHub, folders: Folders, config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repository("acme/tiny", folders.safetensors)
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2**20))
    result = run("pull", "tiny", "--config", config)

    assert result.exit_code == 1
    assert "3 MiB have to be downloaded and the disk of" in result.stderr
    assert "has 1 MiB free: free 2 MiB more, or name a folder on another disk" in result.stderr
    assert not [request for request in hub.requests if "/resolve/" in request.path]


def test_a_disk_that_fills_up_on_the_way_is_told(
    run: Run, hub: FakeHub, folders: Folders, config: str, tmp_path: Path
) -> None:
    hub.add_repository("acme/tiny", folders.safetensors, large=True)
    blobs = tmp_path / "cache" / "models--acme--tiny" / "blobs"
    blobs.mkdir(parents=True)
    for path in folders.safetensors.iterdir():
        # Whatever is written there meets a full disk.
        (blobs / f"{hub.digest_of(path.read_bytes())}.pulled").symlink_to("/dev/full")
    result = run("pull", "tiny", "--config", config)

    assert result.exit_code == 1
    assert "no space is left on the disk of the model cache while downloading acme/tiny" in result.stderr


@pytest.mark.parametrize(("token", "remedy"), [(None, "then set HF_TOKEN"), (TOKEN, "ask for access at")])
def test_a_gated_model_says_where_to_ask(
    run: Run,
    hub: FakeHub,
    folders: Folders,
    config: str,
    token: str | None,
    remedy: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub.add_repository("acme/gated", folders.safetensors, gated=True)
    if token is not None:
        hub.tokens.add(token)
        monkeypatch.setenv("HF_TOKEN", token)
    result = run("pull", "gated", "--config", config)

    assert result.exit_code == 1
    assert "https://huggingface.co/acme/gated" in result.stderr
    assert remedy in result.stderr


def test_a_gated_model_comes_with_the_token_that_may_have_it(
    run: Run, hub: FakeHub, folders: Folders, config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repository("acme/gated", folders.safetensors, gated=True, token=TOKEN)
    monkeypatch.setenv("HF_TOKEN", TOKEN)

    assert run("pull", "gated", "--config", config).exit_code == 0


def test_a_repository_that_is_not_there_is_one_line(run: Run, hub: FakeHub, config: str) -> None:
    result = run("pull", "tiny", "--config", config)

    assert result.exit_code == 1
    assert result.stderr.startswith("hostler: the hub has no repository acme/tiny: the name is misspelt, or it is")


def test_no_network_is_one_line(
    run: Run, hub: FakeHub, config: str, monkeypatch: pytest.MonkeyPatch, closed_url: str
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", closed_url)
    result = run("pull", "tiny", "--config", config)

    assert result.exit_code == 1
    assert "the hub cannot be reached to download it" in result.stderr


def test_an_unknown_model_names_the_nearest_before_anything_is_fetched(run: Run, hub: FakeHub, config: str) -> None:
    result = run("pull", "tiny", "tny", "--config", config)

    assert result.exit_code == 1
    assert "the nearest are tiny" in result.stderr
    assert hub.requests == []
