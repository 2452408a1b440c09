"""Models carried to a machine without a network: pulled into a folder, moved, served where nobody can be reached."""

import os
import subprocess
from pathlib import Path

import httpx2
import pytest

from hostler.config import SHIPPED_REGISTRY
from tests.e2e.server_process import HOSTLER, ServerProcess
from tests.fake_hub import FakeHub
from tests.tiny_models import build_tiny_model, save_as_pickle_repository

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

ENTRY = (
    "  {0}: {{name: acme/{0}, type: text, size: tiny, description: Random, max_length: 128, torch_dtype: float32}}\n"
)
MODELS = ("gpt2", "opt", "smollm2-135m")
"""Safetensors of the hub, pickled weights of the hub, and a GGUF file of a package."""
CLOSED = "http://127.0.0.1:9"

# An audit hook sees what every Python process of the server is about to do, before any library can catch an error.
NO_NETWORK = """
import os, sys

def refuse(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        address = arguments[1][0]
    elif event == "socket.getaddrinfo":
        address = arguments[0]
    else:
        return
    if address not in ("127.0.0.1", "localhost") or event == "socket.connect":
        with open(os.environ["TRIED"], "a") as tried:
            tried.write(f"{event} {arguments}\\n")
        raise OSError("there is no network here")

sys.addaudithook(refuse)
"""


@pytest.fixture(scope="module")
def registry_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    embedded = SHIPPED_REGISTRY.read_text().split("\n\n")[1].removeprefix("models:\n")
    assert "smollm2-135m" in embedded
    path = tmp_path_factory.mktemp("connected") / "models.yaml"
    path.write_text("models:\n" + "".join(map(ENTRY.format, MODELS[:2])) + embedded + "\n")
    return path


@pytest.fixture(scope="module")
def environment(hostler_cache_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of the machine with a network; its hub is in `HF_ENDPOINT`."""
    home = tmp_path_factory.mktemp("home")
    return {"HF_HOME": str(home / "hf"), "HOSTLER_CACHE_DIR": str(hostler_cache_dir), "HF_HUB_OFFLINE": "0"}


def answers(server: ServerProcess) -> dict[str, str]:
    asked = {"text": "The hostler opens the door", "max_new_tokens": 12, "do_sample": False}
    return {
        model: httpx2.post(f"{server.url}/models/{model}/generate", json=asked, timeout=120).raise_for_status().text
        for model in MODELS
    }


@pytest.fixture(scope="module")
def connected(
    registry_file: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, str], Path]:
    """What a server with a network answers, and the folder that was pulled meanwhile; the hub has gone since."""
    root = tmp_path_factory.mktemp("carried")
    with FakeHub() as hub:
        for family in MODELS[:2]:
            folder = build_tiny_model(family, root / family)
            if family == "opt":
                save_as_pickle_repository(folder)
            hub.add_repository(f"acme/{family}", folder)
        online = environment | {"HF_ENDPOINT": hub.url}
        cache = Path(environment["HOSTLER_CACHE_DIR"])
        with ServerProcess(registry_file, cache, root / "connected.log", online) as server:
            expected = answers(server)
        command: list[str | Path] = [HOSTLER, "pull", *MODELS, "--to", root / "bundle", "--config", registry_file]
        own_cache = {"HF_HOME": str(root / "hf")}
        subprocess.run(command, env=os.environ | online | own_cache, check=True, timeout=300)
    return expected, (root / "bundle").rename(root / "mounted elsewhere")


def test_a_folder_that_was_moved_answers_the_same_and_nobody_is_called(
    connected: tuple[dict[str, str], Path], tmp_path: Path
) -> None:
    expected, bundle = connected
    (tmp_path / "sitecustomize.py").write_text(NO_NETWORK)
    offline = {
        "PYTHONPATH": str(tmp_path),
        "TRIED": str(tmp_path / "tried"),
        "HF_ENDPOINT": CLOSED,
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(tmp_path / "empty"),
    }
    with ServerProcess(bundle / "models.yaml", tmp_path / "cache", tmp_path / "stderr.log", offline) as server:
        assert answers(server) == expected

    assert not (tmp_path / "tried").exists()
    assert not (tmp_path / "cache" / "converted").exists()


def test_the_hook_that_forbids_the_network_would_have_told(tmp_path: Path, registry_file: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(NO_NETWORK)
    offline = {"PYTHONPATH": str(tmp_path), "TRIED": str(tmp_path / "tried"), "HF_ENDPOINT": CLOSED}
    online = {"HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "empty")}
    with ServerProcess(registry_file, tmp_path / "cache", tmp_path / "stderr.log", offline | online) as server:
        assert httpx2.post(f"{server.url}/models/gpt2/load", timeout=60).is_error

    assert "socket.connect" in (tmp_path / "tried").read_text()


def test_serving_a_folder_writes_nothing_into_it(connected: tuple[dict[str, str], Path], tmp_path: Path) -> None:
    """So that a mount may be read-only."""
    _, bundle = connected
    before = {path: path.stat().st_mtime_ns for path in [bundle, *bundle.rglob("*")]}

    with ServerProcess(bundle / "models.yaml", tmp_path / "cache", tmp_path / "stderr.log") as server:
        answers(server)

    assert {path: path.stat().st_mtime_ns for path in [bundle, *bundle.rglob("*")]} == before
