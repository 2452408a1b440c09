"""Real vectors of a real model from a real server, by the clients that people use."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
import torch
import yaml

from hostler.client import Hostler
from hostler.errors import InvalidRequestError
from tests.e2e.server_process import ServerProcess
from tests.embedder import embedder_folder
from tests.engine.pooling.test_real_model import EXPECTED, REFERENCE
from tests.tiny_encoders import build_classifier
from tests.tiny_models import build_tiny_model

pytestmark = pytest.mark.long

MODEL = "all-minilm-l6-v2"
SHORT: list[str] = REFERENCE["texts"][:-1]
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def server(hostler_cache_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("embeddings")
    example = yaml.safe_load((EXAMPLES / "06_search.yaml").read_text())
    example["models"][MODEL]["source"] = {"folder": str(embedder_folder())}
    build_tiny_model("gpt2", folder / "gpt2")
    build_classifier("bert", folder / "reranker", ["relevance"])
    tiny = {"size": "1M", "description": "Random weights", "max_length": 64}
    for name, model_type in {"gpt2": "text", "reranker": "reranker"}.items():
        example["models"][name] = tiny | {"name": f"tests/{name}", "type": model_type, "source": {"folder": name}}
    registry = folder / "models.yaml"
    registry.write_text(yaml.safe_dump(example))
    with ServerProcess(registry, hostler_cache_dir, folder / "stderr.log") as server:
        # The first load of a server waits for its imports, on a busy machine longer than a client does.
        httpx2.post(f"{server.url}/models/{MODEL}/load", timeout=300).raise_for_status()
        yield server


@pytest.mark.parametrize("encoding", ["base64", "float"])
def test_openais_client_gets_the_vectors_of_sentence_transformers(client: openai.OpenAI, encoding: str) -> None:
    """It asks for base64 where it is not told."""
    options = {} if encoding == "base64" else {"encoding_format": encoding}
    found = client.embeddings.create(model=MODEL, input=SHORT, extra_body=options)
    vectors = torch.tensor([item.embedding for item in found.data])
    assert (vectors - EXPECTED[: len(SHORT)]).abs().max() < 1e-5
    assert found.usage.total_tokens > len(SHORT)


def test_fewer_dimensions_have_length_one(client: openai.OpenAI) -> None:
    found = client.embeddings.create(model=MODEL, input=SHORT[0], dimensions=64)
    assert torch.tensor(found.data[0].embedding).norm() == pytest.approx(1)


def test_the_example_finds_what_is_meant(server: ServerProcess) -> None:
    command: list[str | Path] = [
        sys.executable,
        EXAMPLES / "06_search.py",
        "who looks after the horses?",
        "--num",
        "1",
    ]
    environment = os.environ | {"HOSTLER_URL": server.url}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.endswith("The hostler feeds and brushes the horses at dawn.\n")


def test_our_client_embeds_and_ranks(server: ServerProcess) -> None:
    with Hostler(server.url) as client:
        vectors = torch.tensor(client.embed(SHORT, model=MODEL))
        best, *_ = client.rerank(SHORT[1], SHORT[2:], model=MODEL, return_documents=True)
        scores = client.rerank("Which mare?", SHORT, model="reranker")
        with pytest.raises(InvalidRequestError, match="of type text") as caught:
            client.embed(SHORT, model="gpt2")
        with pytest.raises(InvalidRequestError, match="of type embedding"):
            client.generate("Hi", model=MODEL)
    assert (vectors - EXPECTED[: len(SHORT)]).abs().max() < 1e-5
    assert (best["index"], best["document"]["text"]) == (0, SHORT[2])
    assert [item["relevance_score"] for item in scores] == sorted(item["relevance_score"] for item in scores)[::-1]
    assert caught.value.param == "model"


def test_too_much_is_refused_within_a_second(server: ServerProcess) -> None:
    bodies: dict[str, tuple[str, dict[str, Any]]] = {
        "rerank": ("documents", {"query": "mare", "documents": ["horse"] * 10_000}),
        "embeddings": ("input", {"input": ["horse"] * 10_000}),
    }
    for path, (field, body) in bodies.items():
        started = time.perf_counter()
        response = httpx2.post(f"{server.url}/v1/{path}", json={"model": MODEL} | body)
        assert time.perf_counter() - started < 1
        assert (response.status_code, response.json()["error"]["param"]) == (400, field)
        assert "10000" in response.json()["error"]["message"]


def test_a_model_that_reads_is_described_loaded_and_unloaded_as_any(server: ServerProcess) -> None:
    httpx2.post(f"{server.url}/models/{MODEL}/load", timeout=60).raise_for_status()
    abilities = httpx2.get(f"{server.url}/models/{MODEL}/capabilities").json()
    assert abilities["pooling"] == {"num_values": 384, "labels": [], "input_types": []}
    assert (abilities["max_model_len"], abilities["dtype"]) == (256, "float32")
    plan = httpx2.post(f"{server.url}/models/{MODEL}/plan").json()
    assert plan["footprint"]["kv_cache_bytes"] == 0
    assert httpx2.get(f"{server.url}/models/{MODEL}/health?deep=1", timeout=30).json()["deep"]["seconds"] < 10
    httpx2.post(f"{server.url}/models/{MODEL}/unload", timeout=30).raise_for_status()
    assert MODEL not in httpx2.get(f"{server.url}/models/loaded").json()["loaded_models"]
