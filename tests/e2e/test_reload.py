"""A real server whose registry file changes, and models that it does not name."""

import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.server_process import ServerProcess
from tests.fake_hub import FakeHub
from tests.tiny_models import build_tiny_model

pytestmark = pytest.mark.timeout(180)

ENTRY = "  {0}: {{name: tests/{0}, type: text, size: 1M, description: d, max_length: 128, source: {{folder: model}}}}\n"
SETTINGS = "settings: {watch_config: true, discover: [found], allow_unlisted: true}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reload")
    build_tiny_model("gpt2", folder / "model")
    shutil.copytree(folder / "model", folder / "found" / "lucky-find")
    (folder / "models.yaml").write_text("models:\n" + ENTRY.format("first") + SETTINGS)
    return folder


@pytest.fixture(scope="module")
def hub(folder: Path) -> Iterator[FakeHub]:
    with FakeHub() as hub:
        hub.add_repository("acme/on-the-hub", folder / "model")
        yield hub


@pytest.fixture(scope="module")
def server(folder: Path, hub: FakeHub) -> Iterator[ServerProcess]:
    environment = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(folder / "hf")}
    with ServerProcess(folder / "models.yaml", folder / "cache", folder / "stderr.log", environment) as server:
        yield server


def models(server: ServerProcess) -> dict[str, Any]:
    answer: dict[str, Any] = httpx2.get(f"{server.url}/models").json()
    return answer


def complete(server: ServerProcess, model: str) -> httpx2.Response:
    asked = {"model": model, "prompt": "The hostler", "max_tokens": 2}
    return httpx2.post(f"{server.url}/v1/completions", json=asked, timeout=60)


def replace(path: Path, text: str) -> None:
    """As editors save."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def test_what_is_found_and_what_a_request_names_is_served(server: ServerProcess, hub: FakeHub) -> None:
    assert list(models(server)) == ["first", "lucky-find"]
    assert complete(server, "lucky-find").status_code == 200
    answer = complete(server, "acme/on-the-hub")
    assert (answer.status_code, answer.json()["model"]) == (200, "acme--on-the-hub")
    assert list(models(server)) == ["first", "lucky-find", "acme--on-the-hub"]
    missing = complete(server, "acme/nowhere")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")
    assert not any("resolve" in request.path for request in hub.requests if "nowhere" in request.path)


def test_a_file_that_changes_is_taken_up_and_loaded_models_stay(server: ServerProcess, folder: Path) -> None:
    assert complete(server, "acme/on-the-hub").status_code == 200
    workers = {worker.pid for worker in server.workers()}
    replace(folder / "models.yaml", "models:\n" + ENTRY.format("first") + ENTRY.format("second") + SETTINGS)
    while "second" not in (listed := models(server)):
        pass
    assert list(listed) == ["first", "second", "lucky-find", "acme--on-the-hub"]
    assert listed["acme--on-the-hub"]["loaded"]
    assert workers <= {worker.pid for worker in server.workers()}


def test_a_signal_reloads_too_and_an_unusable_file_changes_nothing(server: ServerProcess, folder: Path) -> None:
    before = list(models(server))
    replace(folder / "models.yaml", "models:\n  first:\n    nome: x/y\n")
    server.process.send_signal(signal.SIGHUP)
    while not (refusals := re.findall(r"reload_refused reason=SIGHUP error=(.*)\n", server.log.read_text())):
        pass
    assert "line 3: models.first.nome: is not a key of a model" in refusals[0]
    while "reload_refused reason=file_changed" not in server.log.read_text():
        pass
    assert list(models(server)) == before
    answer = httpx2.post(f"{server.url}/admin/reload-config")
    assert (answer.status_code, answer.json()["code"]) == (400, "config_error")
    assert "line 3" in answer.json()["detail"]
