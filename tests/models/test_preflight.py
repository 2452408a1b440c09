"""What is known of a model before it is downloaded, against a hub on this machine."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from msgspec.structs import replace

from hostler.models.hub import HubAccess
from hostler.models.preflight import examine
from hostler.registry import FolderSource, HubSource, PackageSource
from tests.fake_hub import FakeHub
from tests.models.specs import spec_of

REPO = "owner/tiny"
TOKEN = "hf_right0123456789"
SAFETENSORS = {"model.safetensors": b"\0" * 1000}
PICKLED = {"pytorch_model.bin": b"\0" * 1000}


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as fake:
        yield fake


@pytest.fixture
def access(tmp_path: Path, hub: FakeHub) -> HubAccess:
    return HubAccess(cache_dir=tmp_path / "cache", endpoint=hub.url)


def repository(folder: Path, weights: dict[str, bytes], **config: Any) -> Path:
    """A folder that looks like a model; its weights are none."""
    folder.mkdir()
    content = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], **config}
    (folder / "config.json").write_text(json.dumps(content))
    (folder / "tokenizer.json").write_text("{}")
    for name, data in weights.items():
        (folder / name).write_bytes(data)
    return folder


def bytes_of(folder: Path, *names: str) -> int:
    return sum((folder / name).stat().st_size for name in names)


def test_a_public_model_is_reported_without_downloading_its_weights(
    tmp_path: Path, hub: FakeHub, access: HubAccess
) -> None:
    extra = {"model.onnx": b"x", "training_args.bin": b"x", "old.pt": b"x", "README.md": b"x"}
    folder = repository(tmp_path / "model", SAFETENSORS | extra)
    commit = hub.add_repository(REPO, folder, licence="apache-2.0")
    found = examine(spec_of(HubSource(repo_id=REPO)), access)
    assert (found.origin, found.is_here, found.is_gated, found.has_access) == ("hub", False, False, True)
    assert (found.commit, found.is_pinned, found.licence) == (commit, False, "apache-2.0")
    assert (found.formats, found.loaded_format) == (("pickle", "safetensors"), "safetensors")
    assert (found.needs_own_code, found.kernel_keys, found.problems) == (False, (), ())
    assert found.download_bytes == bytes_of(folder, "config.json", "tokenizer.json", "model.safetensors")
    assert found.warnings == (f"Its revision may change; pin it with 'revision: {commit}'.",)
    assert not [request for request in hub.requests if request.path.endswith(".safetensors")]
    assert not (tmp_path / "cache").exists()


def test_a_revision_that_is_a_commit_is_pinned(tmp_path: Path, hub: FakeHub, access: HubAccess) -> None:
    commit = hub.add_repository(REPO, repository(tmp_path / "model", SAFETENSORS))
    found = examine(spec_of(HubSource(repo_id=REPO, revision=commit)), access)
    assert (found.is_pinned, found.warnings) == (True, ())


@pytest.mark.parametrize("token", [None, TOKEN, "hf_other0123456789"])
def test_a_gated_model_says_whether_the_token_has_access(
    tmp_path: Path, hub: FakeHub, access: HubAccess, token: str | None
) -> None:
    hub.add_repository(REPO, repository(tmp_path / "model", SAFETENSORS), gated=True, token=TOKEN)
    hub.tokens.add("hf_other0123456789")
    found = examine(spec_of(HubSource(repo_id=REPO)), HubAccess(access.cache_dir, token, access.endpoint))
    assert (found.is_gated, found.has_access) == (True, token == TOKEN)
    if token == TOKEN:
        assert found.problems == ()
    else:
        (sentence,) = found.problems
        assert f"https://huggingface.co/{REPO}" in sentence
        assert "HF_TOKEN" in sentence
    assert token is None or token not in str(found)


@pytest.mark.parametrize("allow_pickle", [True, False])
def test_pickled_weights_are_a_warning_or_where_they_are_forbidden_a_problem(
    tmp_path: Path, hub: FakeHub, access: HubAccess, allow_pickle: bool
) -> None:
    hub.add_repository(REPO, repository(tmp_path / "model", PICKLED))
    spec = replace(spec_of(HubSource(repo_id=REPO)), allow_pickle=allow_pickle)
    found = examine(spec, access)
    assert (found.formats, found.loaded_format) == (("pickle",), "pickle")
    assert any("pickled" in sentence for sentence in found.warnings) is allow_pickle
    assert any("allow_pickle: false" in sentence for sentence in found.problems) is not allow_pickle


def test_code_that_comes_with_a_model_or_from_elsewhere_is_named(
    tmp_path: Path, hub: FakeHub, access: HubAccess
) -> None:
    config = {"auto_map": {"AutoModel": "x.X"}, "model_type": "own", "_attn_implementation_internal": "someone/kernels"}
    hub.add_repository(REPO, repository(tmp_path / "model", SAFETENSORS, **config))
    found = examine(spec_of(HubSource(repo_id=REPO)), access)
    assert (found.needs_own_code, found.kernel_keys) == (True, ("_attn_implementation_internal",))
    assert any("someone" not in sentence and "names code elsewhere" in sentence for sentence in found.problems)
    trusted = examine(replace(spec_of(HubSource(repo_id=REPO)), trust_remote_code=True), access)
    assert any("trust_remote_code runs it" in sentence for sentence in trusted.warnings)
    assert not any("auto_map" in sentence for sentence in trusted.problems)


@pytest.mark.parametrize(("architecture", "is_refused"), [("GPT2LMHeadModel", False), ("OwnLMHeadModel", True)])
def test_code_of_a_repository_is_a_problem_where_nothing_else_can_run_it(
    tmp_path: Path, hub: FakeHub, access: HubAccess, architecture: str, is_refused: bool
) -> None:
    config = {"auto_map": {"AutoModelForCausalLM": "own.Own"}, "architectures": [architecture]}
    hub.add_repository(REPO, repository(tmp_path / "model", SAFETENSORS, **config))
    found = examine(spec_of(HubSource(repo_id=REPO)), access)
    assert found.needs_own_code is is_refused
    assert any("trust_remote_code: true" in sentence for sentence in found.problems) is is_refused
    assert any("which is not run" in sentence for sentence in found.warnings) is not is_refused


@pytest.mark.parametrize("content", [b"[]", b"{", b'{"a":' * 2000 + b"1" + b"}" * 2000])
def test_a_configuration_that_is_none_is_a_problem_wherever_it_is(
    tmp_path: Path, hub: FakeHub, access: HubAccess, content: bytes
) -> None:
    folder = repository(tmp_path / "model", SAFETENSORS)
    (folder / "config.json").write_bytes(content)
    hub.add_repository(REPO, folder)
    for source in (HubSource(repo_id=REPO), FolderSource(path=str(folder))):
        assert any("config.json is missing or damaged" in line for line in examine(spec_of(source), access).problems)


@pytest.mark.parametrize(("file", "problems"), [("tiny.gguf", 0), ("other.gguf", 1)])
def test_a_gguf_file_is_looked_for_by_its_name(
    tmp_path: Path, hub: FakeHub, access: HubAccess, file: str, problems: int
) -> None:
    hub.add_repository(REPO, repository(tmp_path / "model", {"tiny.gguf": b"GGUF" + b"\0" * 96}))
    found = examine(spec_of(HubSource(repo_id=REPO, file=file)), access)
    assert (found.loaded_format, len(found.problems)) == ("gguf", problems)
    assert found.download_bytes == (0 if problems else 100)


def test_a_repository_that_is_not_there_is_a_problem(access: HubAccess) -> None:
    found = examine(spec_of(HubSource(repo_id="owner/nothing")), access)
    (sentence,) = found.problems
    assert sentence.startswith("the hub has no repository owner/nothing")
    assert found.has_access is None


def test_what_is_in_the_cache_is_here_also_where_the_hub_is_not(
    tmp_path: Path, hub: FakeHub, access: HubAccess
) -> None:
    commit = hub.add_repository(REPO, repository(tmp_path / "model", SAFETENSORS))
    huggingface_hub.snapshot_download(REPO, cache_dir=access.cache_dir, endpoint=hub.url, token=False)
    assert examine(spec_of(HubSource(repo_id=REPO)), access).is_here
    gone = HubAccess(access.cache_dir, None, "http://127.0.0.1:9")
    found = examine(spec_of(HubSource(repo_id=REPO)), gone)
    assert (found.is_here, found.commit, found.problems) == (True, commit, ())
    assert (found.download_bytes, found.loaded_format) == (0, "safetensors")


def test_a_folder_has_neither_revision_nor_download(tmp_path: Path, access: HubAccess) -> None:
    folder = repository(tmp_path / "model", SAFETENSORS)
    found = examine(spec_of(FolderSource(path=str(folder))), access)
    assert (found.origin, found.is_here, found.is_pinned, found.download_bytes) == ("folder", True, None, 0)
    missing = examine(spec_of(FolderSource(path=str(tmp_path / "nowhere"))), access)
    assert "does not exist" in missing.problems[0]


def test_a_file_of_a_package_that_is_missing_is_looked_for_at_the_hub(
    tmp_path: Path, hub: FakeHub, access: HubAccess
) -> None:
    hub.add_repository(REPO, repository(tmp_path / "model", SAFETENSORS))
    source = PackageSource(package="no_such_package", file="x.gguf", otherwise=HubSource(repo_id=REPO))
    assert examine(spec_of(source), access).origin == "hub"
