"""Finding a model's files: on the hub, in its cache, in a folder, in a package."""

import importlib
import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostler.errors import GatedModelError, HostlerError, ModelLoadError
from hostler.models.hub import HubAccess
from hostler.models.repository_files import WeightsFormat
from hostler.models.source import LocalModel, fetch
from hostler.registry import FolderSource, HubSource, ModelSpec, PackageSource
from hostler.types import LoadProgress
from tests.fake_hub import FakeHub
from tests.models.specs import spec_of

REPO = "owner/tiny"
TOKEN = "hf_right0123456789"
OTHER_TOKEN = "hf_other0123456789"


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as fake:
        yield fake


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """What is on the hub: safetensors, the same weights in formats nobody needs, and supporting files."""
    folder = tmp_path / "repository"
    (folder / "onnx").mkdir(parents=True)
    for name, content in {
        "config.json": "{ }",
        "generation_config.json": "{}",
        "tokenizer.json": "{}",
        "tokenizer_config.json": "{}",
        "merges.txt": "",
        "chat_template.jinja": "{{ messages }}",
        "modeling_tiny.py": "raise SystemExit",
        "README.md": "# Tiny",
        "model.safetensors": "s" * 3000,
        "pytorch_model.bin": "p" * 3000,
        "tf_model.h5": "t",
        "flax_model.msgpack": "f",
        "onnx/model.onnx": "o",
        "onnx/config.json": "{}",
        "tiny.Q4_0.gguf": "g" * 500,
    }.items():
        (folder / name).write_text(content)
    return folder


def access(hub: FakeHub, tmp_path: Path, token: str | None = None) -> HubAccess:
    return HubAccess(cache_dir=tmp_path / "cache", token=token, endpoint=hub.url)


def fetch_quietly(spec: ModelSpec, access: HubAccess) -> LocalModel:
    unread: list[LoadProgress] = []
    return fetch(spec, access, unread.append)


def names_in(local: LocalModel) -> set[str]:
    return {path.relative_to(local.folder).as_posix() for path in local.folder.rglob("*") if path.is_file()}


def address_of_no_hub() -> str:
    """The address of a hub that was there a moment ago."""
    with FakeHub() as gone:
        return gone.url


def test_a_download_takes_safetensors_and_supporting_files_and_nothing_else(
    hub: FakeHub, repository: Path, tmp_path: Path
) -> None:
    commit = hub.add_repository(REPO, repository)
    local = fetch_quietly(spec_of(REPO), access(hub, tmp_path))
    assert local.weights_format is WeightsFormat.SAFETENSORS
    assert local.revision == commit
    assert names_in(local) == {
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "merges.txt",
        "chat_template.jinja",
        "model.safetensors",
    }


def test_python_files_come_along_only_where_remote_code_is_trusted(
    hub: FakeHub, repository: Path, tmp_path: Path
) -> None:
    hub.add_repository(REPO, repository)
    without = fetch_quietly(spec_of(REPO), access(hub, tmp_path))
    assert "modeling_tiny.py" not in names_in(without)
    with_code = fetch_quietly(spec_of(REPO, trust_remote_code=True), access(hub, tmp_path))
    assert "modeling_tiny.py" in names_in(with_code)


def test_progress_counts_bytes_up_to_the_total(hub: FakeHub, repository: Path, tmp_path: Path) -> None:
    hub.add_repository(REPO, repository)
    seen: list[LoadProgress] = []
    local = fetch(spec_of(REPO), access(hub, tmp_path), seen.append)
    total = sum((local.folder / name).stat().st_size for name in names_in(local))
    assert {progress.stage for progress in seen} == {"downloading"}
    assert {progress.total_bytes for progress in seen} == {total}
    assert [progress.done_bytes for progress in seen] == sorted(progress.done_bytes for progress in seen)
    assert (seen[0].done_bytes, seen[-1].done_bytes) == (0, total)


def test_a_download_draws_no_progress_bar(
    hub: FakeHub, repository: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    hub.add_repository(REPO, repository)
    fetch_quietly(spec_of(REPO), access(hub, tmp_path))
    assert capfd.readouterr() == ("", "")


def test_what_is_complete_in_the_cache_needs_no_network(hub: FakeHub, repository: Path, tmp_path: Path) -> None:
    hub.add_repository(REPO, repository)
    first = fetch_quietly(spec_of(REPO), access(hub, tmp_path))
    hub.requests.clear()
    again = fetch_quietly(spec_of(REPO), access(hub, tmp_path))
    assert again == first
    assert hub.requests == []


def test_a_cache_without_a_listing_serves_when_weights_and_tokenizer_are_there(
    hub: FakeHub, repository: Path, tmp_path: Path
) -> None:
    hub.add_repository(REPO, repository)
    first = fetch_quietly(spec_of(REPO), access(hub, tmp_path))
    shutil.rmtree(first.folder.parents[1] / "trees")
    hub.requests.clear()
    assert fetch_quietly(spec_of(REPO), access(hub, tmp_path)) == first
    assert hub.requests == []


@pytest.mark.parametrize("lost", ["model.safetensors", "tokenizer.json", "config.json", "merges.txt"])
def test_a_snapshot_that_lacks_a_file_is_completed(hub: FakeHub, repository: Path, tmp_path: Path, lost: str) -> None:
    hub.add_repository(REPO, repository)
    first = fetch_quietly(spec_of(REPO), access(hub, tmp_path))
    (first.folder / lost).unlink()
    again = fetch_quietly(spec_of(REPO), access(hub, tmp_path))
    assert lost in names_in(again)


def test_all_shards_of_an_index_are_fetched_and_missed(hub: FakeHub, repository: Path, tmp_path: Path) -> None:
    (repository / "model.safetensors").unlink()
    shards = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    for shard in shards:
        (repository / shard).write_text(shard)
    (repository / "consolidated-00001-of-00001.safetensors").write_text("another layout")
    index = {"weight_map": {"a": shards[0], "b": shards[1]}}
    (repository / "model.safetensors.index.json").write_text(json.dumps(index))
    hub.add_repository(REPO, repository)
    local = fetch_quietly(spec_of(REPO), access(hub, tmp_path))
    assert {name for name in names_in(local) if "safetensors" in name} == {"model.safetensors.index.json", *shards}
    (local.folder / shards[1]).unlink()
    assert shards[1] in names_in(fetch_quietly(spec_of(REPO), access(hub, tmp_path)))


def test_a_pinned_revision_is_the_one_that_comes(hub: FakeHub, repository: Path, tmp_path: Path) -> None:
    old = hub.add_repository(REPO, repository)
    (repository / "config.json").write_text('{"newer": true}')
    new = hub.add_repository(REPO, repository)
    hub.add_repository(REPO, repository, revision="v2")
    pinned = spec_of(HubSource(repo_id=REPO, revision=old))
    assert fetch_quietly(pinned, access(hub, tmp_path)).revision == old
    hub.requests.clear()
    assert fetch_quietly(pinned, access(hub, tmp_path)).revision == old
    assert hub.requests == []
    assert fetch_quietly(spec_of(REPO), access(hub, tmp_path)).revision == new
    tagged = fetch_quietly(spec_of(HubSource(repo_id=REPO, revision="v2")), access(hub, tmp_path))
    assert tagged.revision not in (old, new)


def test_an_unknown_revision_is_named(hub: FakeHub, repository: Path, tmp_path: Path) -> None:
    hub.add_repository(REPO, repository)
    with pytest.raises(ModelLoadError, match="owner/tiny has no revision 'v9'"):
        fetch_quietly(spec_of(HubSource(repo_id=REPO, revision="v9")), access(hub, tmp_path))


def test_a_repository_without_safetensors_gives_its_bin(hub: FakeHub, repository: Path, tmp_path: Path) -> None:
    (repository / "model.safetensors").unlink()
    hub.add_repository(REPO, repository)
    local = fetch_quietly(spec_of(REPO), access(hub, tmp_path))
    assert local.weights_format is WeightsFormat.PICKLE
    assert "pytorch_model.bin" in names_in(local)


def test_forbidden_pickles_are_refused_before_and_after_they_are_in_the_cache(
    hub: FakeHub, repository: Path, tmp_path: Path
) -> None:
    (repository / "model.safetensors").unlink()
    hub.add_repository(REPO, repository)
    forbidding = spec_of(REPO, allow_pickle=False)
    with pytest.raises(ModelLoadError, match="allow_pickle"):
        fetch_quietly(forbidding, access(hub, tmp_path))
    assert not any("/resolve/" in request.path for request in hub.requests)
    fetch_quietly(spec_of(REPO), access(hub, tmp_path))
    with pytest.raises(ModelLoadError, match="allow_pickle"):
        fetch_quietly(forbidding, access(hub, tmp_path))


def test_a_gguf_file_of_the_hub_comes_alone(hub: FakeHub, repository: Path, tmp_path: Path) -> None:
    hub.add_repository(REPO, repository)
    spec = spec_of(HubSource(repo_id=REPO, file="tiny.Q4_0.gguf"))
    local = fetch_quietly(spec, access(hub, tmp_path))
    assert (local.weights_format, local.gguf_file) == (WeightsFormat.GGUF, "tiny.Q4_0.gguf")
    assert names_in(local) == {"tiny.Q4_0.gguf"}
    hub.requests.clear()
    assert fetch_quietly(spec, access(hub, tmp_path)) == local
    assert hub.requests == []


def test_a_gguf_file_that_the_repository_lacks_is_named(hub: FakeHub, repository: Path, tmp_path: Path) -> None:
    hub.add_repository(REPO, repository)
    with pytest.raises(ModelLoadError, match=r"has no file 'other\.gguf'"):
        fetch_quietly(spec_of(HubSource(repo_id=REPO, file="other.gguf")), access(hub, tmp_path))


def test_a_gated_repository_without_a_token_says_where_to_ask_and_what_to_set(
    hub: FakeHub, repository: Path, tmp_path: Path
) -> None:
    hub.add_repository(REPO, repository, gated=True, token=TOKEN)
    with pytest.raises(
        GatedModelError, match=r"ask for access at https://huggingface.co/owner/tiny, then set HF_TOKEN"
    ):
        fetch_quietly(spec_of(REPO), access(hub, tmp_path))


def test_a_model_registered_as_gated_needs_no_hub_to_say_that_a_token_is_missing(
    hub: FakeHub, repository: Path, tmp_path: Path
) -> None:
    hub.add_repository(REPO, repository, gated=True, token=TOKEN)
    with pytest.raises(GatedModelError, match="then set HF_TOKEN"):
        fetch_quietly(spec_of(REPO, gated=True), access(hub, tmp_path))
    assert hub.requests == []
    fetch_quietly(spec_of(REPO, gated=True), access(hub, tmp_path, TOKEN))
    num_requests = len(hub.requests)
    fetch_quietly(spec_of(REPO, gated=True), access(hub, tmp_path))
    assert len(hub.requests) == num_requests, "what is in the cache needs no token"


def test_a_token_without_access_is_told_apart_from_none(hub: FakeHub, repository: Path, tmp_path: Path) -> None:
    hub.add_repository(REPO, repository, gated=True, token=TOKEN)
    hub.tokens.add(OTHER_TOKEN)
    with pytest.raises(GatedModelError, match=r"the account of HF_TOKEN has no access.*huggingface.co/owner/tiny"):
        fetch_quietly(spec_of(REPO), access(hub, tmp_path, OTHER_TOKEN))


def test_a_token_with_access_downloads(hub: FakeHub, repository: Path, tmp_path: Path) -> None:
    hub.add_repository(REPO, repository, gated=True, token=TOKEN)
    local = fetch_quietly(spec_of(REPO), access(hub, tmp_path, TOKEN))
    assert "model.safetensors" in names_in(local)


def test_a_token_that_the_hub_does_not_know_is_reported_as_refused(
    hub: FakeHub, repository: Path, tmp_path: Path
) -> None:
    hub.add_repository(REPO, repository)
    with pytest.raises(GatedModelError, match="refuses HF_TOKEN"):
        fetch_quietly(spec_of(REPO), access(hub, tmp_path, "hf_wrong0123456789"))


def test_no_token_is_sent_when_none_was_given(
    hub: FakeHub, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_environment")
    hub.add_repository(REPO, repository)
    fetch_quietly(spec_of(REPO), access(hub, tmp_path))
    assert {request.token for request in hub.requests} == {None}


@pytest.mark.parametrize("token", [None, TOKEN])
def test_an_unknown_repository_is_named(hub: FakeHub, tmp_path: Path, token: str | None) -> None:
    hub.tokens.add(TOKEN)
    with pytest.raises(ModelLoadError, match="the hub has no repository owner/typo: the name is misspelt, or"):
        fetch_quietly(spec_of("owner/typo"), access(hub, tmp_path, token))


def test_a_cached_model_survives_the_loss_of_the_network(hub: FakeHub, repository: Path, tmp_path: Path) -> None:
    hub.add_repository(REPO, repository)
    first = fetch_quietly(spec_of(REPO), access(hub, tmp_path))
    offline = HubAccess(cache_dir=tmp_path / "cache", endpoint=address_of_no_hub())
    assert fetch_quietly(spec_of(REPO), offline) == first


def test_no_network_and_no_cache_is_said_plainly(tmp_path: Path) -> None:
    offline = HubAccess(cache_dir=tmp_path / "cache", endpoint=address_of_no_hub())
    with pytest.raises(ModelLoadError, match="owner/tiny is not complete in the cache, and the hub cannot be reached"):
        fetch_quietly(spec_of(REPO), offline)


def test_no_error_and_no_log_line_shows_the_token(
    hub: FakeHub, repository: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    hub.add_repository(REPO, repository, gated=True, token=TOKEN)
    hub.tokens.add(OTHER_TOKEN)
    offline = HubAccess(cache_dir=tmp_path / "cache", token=OTHER_TOKEN, endpoint=address_of_no_hub())
    for repo_id, where in ((REPO, access(hub, tmp_path, OTHER_TOKEN)), ("owner/typo", offline)):
        with pytest.raises(HostlerError) as caught:
            fetch_quietly(spec_of(repo_id), where)
        assert OTHER_TOKEN not in str(caught.value)
        assert OTHER_TOKEN not in repr(where)
    assert OTHER_TOKEN not in caplog.text


@pytest.mark.parametrize(
    ("kept", "message"),
    [({"README.md"}, "no config.json"), ({"config.json"}, "neither safetensors nor pytorch_model.bin")],
)
def test_a_repository_that_holds_no_model_is_refused(
    hub: FakeHub, repository: Path, tmp_path: Path, kept: set[str], message: str
) -> None:
    for path in repository.iterdir():
        if path.is_file() and path.name not in kept:
            path.unlink()
    hub.add_repository(REPO, repository)
    with pytest.raises(ModelLoadError, match=message):
        fetch_quietly(spec_of(REPO), access(hub, tmp_path))


def test_a_local_folder_is_used_where_it_lies(repository: Path) -> None:
    spec = spec_of(FolderSource(path=str(repository)))
    assert fetch_quietly(spec, HubAccess()) == LocalModel(repository, WeightsFormat.SAFETENSORS)


def test_a_gguf_file_in_a_local_folder_needs_nothing_beside_it(repository: Path) -> None:
    spec = spec_of(FolderSource(path=str(repository), file="tiny.Q4_0.gguf"))
    assert fetch_quietly(spec, HubAccess()) == LocalModel(repository, WeightsFormat.GGUF, "tiny.Q4_0.gguf")


@pytest.mark.parametrize(
    ("removed", "file", "message"),
    [
        (["config.json"], None, "no config.json"),
        (["model.safetensors", "pytorch_model.bin"], None, "neither safetensors nor pytorch_model.bin"),
        ([], "other.gguf", "no file 'other.gguf'"),
    ],
)
def test_an_unusable_folder_is_refused_without_its_path(
    repository: Path, removed: list[str], file: str | None, message: str
) -> None:
    for name in removed:
        (repository / name).unlink()
    with pytest.raises(ModelLoadError, match=message) as caught:
        fetch_quietly(spec_of(FolderSource(path=str(repository), file=file)), HubAccess())
    assert str(repository) not in str(caught.value)


def test_a_folder_that_lacks_a_shard_of_its_index_is_refused(repository: Path) -> None:
    (repository / "model.safetensors").unlink()
    index = {"weight_map": {"a": "model-00001-of-00001.safetensors"}}
    (repository / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelLoadError, match=r"lacks model-00001-of-00001.safetensors"):
        fetch_quietly(spec_of(FolderSource(path=str(repository))), HubAccess())


def test_a_folder_with_a_damaged_index_is_refused(repository: Path) -> None:
    (repository / "model.safetensors").unlink()
    (repository / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(ModelLoadError, match=r"model\.safetensors\.index\.json is damaged"):
        fetch_quietly(spec_of(FolderSource(path=str(repository))), HubAccess())


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="does not exist"):
        fetch_quietly(spec_of(FolderSource(path=str(tmp_path / "nowhere"))), HubAccess())


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Import name of an installed package that cannot be imported and carries a GGUF file."""
    folder = tmp_path / "site" / "tiny_weights"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise ImportError('a dependency that is not installed')")
    (folder / "tiny.gguf").write_text("g")
    monkeypatch.syspath_prepend(str(folder.parent))
    importlib.invalidate_caches()
    return folder.name


def test_finding_files_needs_no_torch() -> None:
    program = "import sys, hostler.models.source; print({'torch', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_package_is_located_without_being_imported(package: str, tmp_path: Path) -> None:
    source = PackageSource(package=package, file="tiny.gguf", otherwise=HubSource(repo_id=REPO))
    local = fetch_quietly(spec_of(source), HubAccess())
    assert local == LocalModel(tmp_path / "site" / package, WeightsFormat.GGUF, "tiny.gguf")
    assert package not in sys.modules


@pytest.mark.parametrize(("name", "file"), [("not_installed_here", "tiny.gguf"), ("tiny_weights", "gone.gguf")])
def test_without_the_package_or_its_file_the_hub_is_asked(
    hub: FakeHub,
    repository: Path,
    package: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
    file: str,
) -> None:
    caplog.set_level(logging.INFO)
    hub.add_repository(REPO, repository)
    source = PackageSource(package=name, file=file, otherwise=HubSource(repo_id=REPO))
    local = fetch_quietly(spec_of(source), access(hub, tmp_path))
    assert (local.weights_format, local.gguf_file) == (WeightsFormat.SAFETENSORS, None)
    assert f"package={name} file={file} repo={REPO}" in caplog.text
