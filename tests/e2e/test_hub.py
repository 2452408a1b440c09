"""Repositories of the hub, as the registry's entries are: downloaded, converted where need be, and served."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx2
import openai
import pytest

from tests.e2e.server_process import ServerProcess
from tests.engine.harness import TinyModel
from tests.fake_hub import FakeHub
from tests.tiny_models import FAMILIES, build_tiny_model, save_as_pickle_repository

pytestmark = pytest.mark.timeout(300)

PICKLED = ("opt", "codegen")
"""Families whose repositories in the shipped registry have no safetensors."""
TOKEN = "hf_allowed0123456789"
PROMPT = "The hostler opens the door"
NUM_TOKENS = 8
"""Few enough that no family has spelled half a character by then, which a stream and a plain decode end differently."""


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One per shipped architecture."""
    root = tmp_path_factory.mktemp("repositories")
    return {family: build_tiny_model(family, root / family) for family in FAMILIES}


@pytest.fixture(scope="module")
def references(repositories: dict[str, Path]) -> dict[str, str]:
    """What plain transformers answers, by family."""
    texts = {}
    for family, folder in repositories.items():
        tiny = TinyModel(folder)
        new_ids = tiny.reference(tiny.tokenizer(PROMPT).input_ids, NUM_TOKENS)
        before = [] if tiny.is_encoder_decoder else tiny.tokenizer(PROMPT).input_ids
        texts[family] = tiny.tokenizer.decode([*before, *new_ids], skip_special_tokens=True)
    for family in PICKLED:
        save_as_pickle_repository(repositories[family])
    return texts


@pytest.fixture(scope="module")
def hub(repositories: dict[str, Path], references: dict[str, str]) -> Iterator[FakeHub]:
    with FakeHub() as hub:
        for family, folder in repositories.items():
            hub.add_repository(f"acme/{family}", folder)
        hub.add_repository("acme/gated", repositories["llama"], gated=True, token=TOKEN)
        yield hub


@pytest.fixture(scope="module")
def server(hub: FakeHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("hub-server")
    entry = "{{name: acme/{0}, type: text, size: tiny, description: Random, max_length: 128, torch_dtype: float32}}"
    entries = [f"  {family}: {entry.format(family)}" for family in (*FAMILIES, "gated")]
    config = folder / "models.yaml"
    config.write_text("\n".join(["models:", *entries, "settings: {max_concurrent_models: 2}"]))
    environment = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(folder / "hf")}
    with ServerProcess(config, folder / "cache", folder / "stderr.log", environment) as server:
        yield server


@pytest.mark.parametrize("family", FAMILIES)
def test_a_repository_is_fetched_and_answers_as_plain_transformers(
    family: str, server: ServerProcess, references: dict[str, str]
) -> None:
    asked = {"text": PROMPT, "max_new_tokens": NUM_TOKENS, "do_sample": False}
    answer = httpx2.post(f"{server.url}/models/{family}/generate", json=asked, timeout=60).json()
    assert answer["generated_text"] == [references[family]]


def test_a_repository_that_was_fetched_needs_no_hub_any_more(server: ServerProcess, hub: FakeHub) -> None:
    num_requests = len(hub.requests)
    httpx2.post(f"{server.url}/models/opt/load", json={"force_reload": True}, timeout=60).raise_for_status()
    assert len(hub.requests) == num_requests


def test_a_gated_repository_is_a_403_that_says_where_to_ask(server: ServerProcess) -> None:
    response = httpx2.post(f"{server.url}/models/gated/load", timeout=60)
    assert response.status_code == 403
    assert "https://huggingface.co/acme/gated" in response.json()["detail"]


async def test_two_models_answer_at_the_same_time(server: ServerProcess) -> None:
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="unused") as client:

        async def first_chunk_then_rest(model: str, other_has_begun: asyncio.Event, has_begun: asyncio.Event) -> int:
            """Take the first chunk, and the rest only once the other stream has begun as well."""
            stream = await client.completions.create(
                model=model, prompt=PROMPT, max_tokens=60, stream=True, extra_body={"ignore_eos": True}
            )
            num_chunks = 0
            async for _ in stream:
                has_begun.set()
                await other_has_begun.wait()
                num_chunks += 1
            return num_chunks

        begun = asyncio.Event(), asyncio.Event()
        counts = await asyncio.gather(
            first_chunk_then_rest("gpt2", begun[1], begun[0]), first_chunk_then_rest("t5", begun[0], begun[1])
        )
    assert min(counts) > 1
