"""`hostler pull --to` and what `hostler check` says of its folder, against a hub on this machine."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hostler.cli.commands import app
from hostler.worker import launcher as worker_launcher
from tests.fake_hub import FakeHub
from tests.models.test_preflight import PICKLED, SAFETENSORS, repository

ENTRY = "  {0}: {{name: owner/{0}, type: text, size: 1M, description: d, max_length: 128{1}}}\n"


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as fake:
        yield fake


@pytest.fixture
def registry_file(tmp_path: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two models at the hub, one in a folder; the caches are empty."""
    for name in ("MODEL_CONFIG_PATH", "HF_TOKEN", "CACHE_DIR", "TRANSFORMERS_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setenv("CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HOSTLER_CACHE_DIR", str(tmp_path / "own-cache"))
    for name, weights in (("tiny", SAFETENSORS), ("other", SAFETENSORS), ("pickled", PICKLED)):
        hub.add_repository(f"owner/{name}", repository(tmp_path / name, weights))
    repository(tmp_path / "local", SAFETENSORS)
    path = tmp_path / "models.yaml"
    entries = [ENTRY.format(name, "") for name in ("tiny", "other", "pickled")]
    path.write_text("models:\n" + "".join(entries) + ENTRY.format("local", ", source: {folder: local}"))
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_several_models_are_put_into_a_folder_and_said_so(registry_file: Path, tmp_path: Path) -> None:
    done = run("pull", "tiny", "owner/Other", "local", "--to", tmp_path / "bundle", "--config", registry_file)

    assert done.exit_code == 0, done.output
    assert (
        done.stdout.splitlines()[-1] == f"serve it with: hostler serve --config {tmp_path / 'bundle' / 'models.yaml'}"
    )
    listed = run("models", "--file", "--json", "--config", tmp_path / "bundle" / "models.yaml")
    assert list(json.loads(listed.stdout)) == ["tiny", "other", "local"]
    assert sorted(path.name for path in (tmp_path / "bundle" / "models" / "tiny").iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]


def test_safetensors_need_no_engine(registry_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_launcher, "find_spec", lambda _: None)

    assert run("pull", "tiny", "--to", tmp_path / "bundle", "--config", registry_file).exit_code == 0


def test_weights_that_are_to_be_converted_do(
    registry_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_launcher, "find_spec", lambda _: None)

    done = run("pull", "pickled", "--to", tmp_path / "bundle", "--config", registry_file)

    assert done.exit_code == 1
    assert done.stderr == "hostler: the engine is not installed: run pip install 'hostler[engine]'\n"


def test_the_same_again_asks_nobody_and_copies_nothing(registry_file: Path, tmp_path: Path, hub: FakeHub) -> None:
    arguments = ("pull", "tiny", "--to", tmp_path / "bundle", "--config", registry_file)
    run(*arguments)
    num_requests = len(hub.requests)

    done = run(*arguments)

    assert "tiny was in the folder already: 3 files" in done.stdout
    assert len(hub.requests) == num_requests


def test_somebody_elses_folder_is_refused_before_anything_is_fetched(
    registry_file: Path, tmp_path: Path, hub: FakeHub
) -> None:
    done = run("pull", "tiny", "--to", tmp_path, "--config", registry_file)

    assert done.exit_code == 2
    assert "name a new or an empty folder" in done.stderr
    assert hub.requests == []


def test_what_no_server_would_load_is_not_carried(registry_file: Path, tmp_path: Path) -> None:
    config = {"model_type": "gpt2", "attn_implementation": "somebody/kernel"}
    (tmp_path / "local" / "config.json").write_text(json.dumps(config))

    done = run("pull", "local", "--to", tmp_path / "bundle", "--config", registry_file)

    assert done.exit_code == 1
    assert done.stderr.startswith("hostler: local would not be loaded from there. Its config.json names code elsewhere")
    assert not (tmp_path / "bundle").exists()


def test_code_of_another_repository_is_not_carried_and_said_so(registry_file: Path, tmp_path: Path) -> None:
    config = {"model_type": "own", "auto_map": {"AutoConfig": "somebody/code--configuration.Own"}}
    (tmp_path / "local" / "config.json").write_text(json.dumps(config))
    registry_file.write_text(registry_file.read_text() + "settings: {trust_remote_code: true}\n")

    done = run("pull", "local", "--to", tmp_path / "bundle", "--config", registry_file)

    assert done.exit_code == 1
    assert "its Python lies in somebody/code" in done.stderr


def test_check_reads_every_file_of_a_bundle(registry_file: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    run("pull", "tiny", "other", "--to", bundle, "--config", registry_file)
    assert run("check", "--config", bundle / "models.yaml").exit_code == 0
    weights = bundle / "models" / "tiny" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")

    done = run("check", "--config", bundle / "models.yaml")

    assert done.exit_code == 1
    assert "problem  tiny: model.safetensors has another content than when it was pulled." in done.stdout
    assert "problem  other" not in done.stdout
