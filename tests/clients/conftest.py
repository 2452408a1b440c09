"""One server with the embedded model for all clients, and a way to run a client's script against it."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from hostler.config import SHIPPED_REGISTRY
from hostler.yaml_file import read_yaml
from tests.clients.environments import SCRIPTS, node_with_packages, python_of
from tests.e2e.server_process import ServerProcess
from tests.embedder import embedder_folder
from tests.tiny_models import build_tiny_model

KEY = "sk-right"
EMBEDDED = "smollm2-135m"
EMBEDDER = "all-minilm-l6-v2"
SCRIPT_TIMEOUT_S = 300.0
ERRORS_OF_OPENAI = {
    "unknown_model": ("NotFoundError", 404, "model_not_found"),
    "too_long": ("BadRequestError", 400, "context_length_exceeded"),
    "wrong_key": ("AuthenticationError", 401, "invalid_api_key"),
}
"""What each mistake is in OpenAI's own clients, and in those built upon them."""

RunClient = Callable[..., dict[str, Any]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.clients)


@pytest.fixture(scope="session")
def server(hostler_cache_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """With a key, in float32, and with a model whose context is short."""
    folder = tmp_path_factory.mktemp("clients")
    build_tiny_model("llama", folder / "tiny-llama")
    tiny = {"name": "tests/tiny-llama", "type": "text", "size": "1M", "description": "Random", "max_length": 128}
    models = {
        EMBEDDED: read_yaml(SHIPPED_REGISTRY).content["models"][EMBEDDED],
        "tiny-llama": tiny | {"source": {"folder": "tiny-llama"}},
        EMBEDDER: tiny | {"name": "tests/embedder", "type": "embedding", "source": {"folder": str(embedder_folder())}},
    }
    registry = folder / "models.yaml"
    registry.write_text(yaml.safe_dump({"models": models, "settings": {"torch_dtype": "float32"}}))
    with ServerProcess(registry, hostler_cache_dir, folder / "stderr.log", {"API_KEY": KEY}) as server:
        yield server


@pytest.fixture(scope="session")
def model_folder(server: ServerProcess, hostler_cache_dir: Path) -> Path:
    """The embedded model as transformers reads it."""
    url, headers = f"{server.url}/models/{EMBEDDED}/load", {"authorization": f"Bearer {KEY}"}
    httpx2.post(url, headers=headers, timeout=SCRIPT_TIMEOUT_S).raise_for_status()
    versions = hostler_cache_dir.glob("converted/HuggingFaceTB--SmolLM2-135M-Instruct-*/")
    return max(versions, key=lambda folder: folder.stat().st_mtime)


@pytest.fixture(scope="session")
def run_python(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> RunClient:
    """Runs a script in a client's environment: what it prints, which is JSON."""

    def run(client: str, script: str, *arguments: str | Path) -> dict[str, Any]:
        return _run(server, tmp_path_factory.mktemp(client), [python_of(client), SCRIPTS / script, *arguments])

    return run


@pytest.fixture(scope="session")
def run_node(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> RunClient:
    def run(script: str) -> dict[str, Any]:
        node, folder = node_with_packages()
        # Packages are looked for beside the script.
        copy = folder / script
        copy.write_text((SCRIPTS / script).read_text())
        return _run(server, tmp_path_factory.mktemp("node"), [node, copy])

    return run


def _run(server: ServerProcess, home: Path, command: list[str | Path]) -> dict[str, Any]:
    """`home`: nothing of the user's own settings reaches a client."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "HOSTLER_URL": server.url,
        "HOSTLER_API_KEY": KEY,
    }
    done = subprocess.run(
        command, env=environment, cwd=home, capture_output=True, text=True, timeout=SCRIPT_TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    shown: dict[str, Any] = json.loads(done.stdout)
    return shown


def assert_openai_errors(errors: dict[str, dict[str, Any]]) -> None:
    """The three mistakes are raised as OpenAI's own classes, each with its code."""
    for mistake, (kind, status, code) in ERRORS_OF_OPENAI.items():
        error = errors[mistake]
        assert (error["class"], error["status"], error["code"]) == (kind, status, code), mistake
    assert_both_numbers(errors["too_long"]["message"])


def assert_both_numbers(message: str) -> None:
    """Those of the prompt and of the context of `tiny-llama`."""
    assert "2002 tokens" in message
    assert "128 tokens" in message
