"""A real server with two real models."""

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from hostler.config import SHIPPED_REGISTRY
from hostler.yaml_file import read_yaml
from tests.e2e.server_process import ServerProcess
from tests.tiny_models import build_tiny_model

TINY = """
  tiny-gpt2:
    name: tests/tiny-gpt2
    type: text
    size: 1M
    description: Random weights
    max_length: 128
    source:
      folder: tiny-gpt2
"""


@pytest.fixture(scope="session")
def registry_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model as it is shipped, and a tiny one in a folder beside the file."""
    folder = tmp_path_factory.mktemp("registry")
    build_tiny_model("gpt2", folder / "tiny-gpt2")
    lines = SHIPPED_REGISTRY.read_text().splitlines()
    starts = read_yaml(SHIPPED_REGISTRY).lines
    embedded = lines[starts["models", "smollm2-135m"] - 1 : starts["models", "dialogpt-small"] - 1]
    path = folder / "models.yaml"
    path.write_text("\n".join(["models:", *embedded]) + TINY)
    return path


@pytest.fixture(scope="module")
def server(
    registry_file: Path, hostler_cache_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    with ServerProcess(registry_file, hostler_cache_dir, tmp_path_factory.mktemp("server") / "stderr.log") as server:
        yield server


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Iterator[openai.OpenAI]:
    """Of whichever `server` the module has."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0, timeout=60) as client:
        yield client
