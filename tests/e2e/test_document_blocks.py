"""The blocks of the documents against a real server: those of the README always, the others where there is time."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import yaml

from tests.docs.blocks import BLOCKS, RUN, Block, run
from tests.e2e.server_process import ServerProcess
from tests.embedder import embedder_folder

_RUN = [block for block in BLOCKS if block.language in RUN and block.not_run is None]
README = [block for block in _RUN if block.page == "README.md"]
OTHERS = [block for block in _RUN if block.page != "README.md"]


@pytest.fixture(scope="module")
def server(
    registry_file: Path, hostler_cache_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """With the models that the pages name: the embedded one, an encoder, and a tiny one in the place of GPT-2."""
    registry = yaml.safe_load(registry_file.read_text())
    tiny = registry["models"].pop("tiny-gpt2")
    tiny["source"]["folder"] = str(registry_file.parent / tiny["source"]["folder"])
    encoder = {"name": "sentence-transformers/all-MiniLM-L6-v2", "type": "embedding", "size": "22M", "max_length": 256}
    registry["models"] |= {
        "gpt2-small": tiny,
        "all-minilm-l6-v2": encoder | {"description": "Vectors", "source": {"folder": str(embedder_folder())}},
    }
    folder = tmp_path_factory.mktemp("documents")
    path = folder / "models.yaml"
    path.write_text(yaml.safe_dump(registry, sort_keys=False))
    with ServerProcess(path, hostler_cache_dir, folder / "stderr.log") as server:
        # The first load of a server waits for its imports, on a busy machine longer than a client does.
        httpx2.post(f"{server.url}/models/smollm2-135m/load", timeout=300).raise_for_status()
        yield server


def test_the_readme_asks_by_command_by_curl_and_by_two_clients() -> None:
    assert [block.language for block in README] == ["sh", "sh", "python", "python", "sh"]


@pytest.mark.parametrize("block", README, ids=lambda block: block.place)
def test_a_block_of_the_readme_gets_an_answer(block: Block, server: ServerProcess, tmp_path: Path) -> None:
    shown = run(block, server.url, tmp_path)

    assert len(shown) > 10
    assert "detail" not in shown


@pytest.mark.long
@pytest.mark.parametrize("block", OTHERS, ids=lambda block: block.place)
def test_a_block_of_the_documents_gets_an_answer(block: Block, server: ServerProcess, tmp_path: Path) -> None:
    assert run(block, server.url, tmp_path).strip()
