"""An encoder–decoder model behind every route that answers: what is asked becomes the encoder's input."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.e2e.server_process import ServerProcess
from tests.engine.harness import TinyModel
from tests.tiny_models import build_tiny_model

pytestmark = pytest.mark.timeout(120)

MODEL = "tiny-t5"
TEXT = "How many legs has a horse?"
QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": TEXT}]
REGISTRY = f"""
models:
  {MODEL}:
    name: tests/{MODEL}
    type: instruction
    size: 1M
    description: Random weights
    max_length: 128
    source:
      folder: {MODEL}
settings:
  torch_dtype: float32
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seq2seq")
    build_tiny_model("t5", folder / MODEL)
    (folder / "models.yaml").write_text(REGISTRY)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path, hostler_cache_dir: Path) -> Iterator[ServerProcess]:
    with ServerProcess(folder / "models.yaml", hostler_cache_dir, folder / "stderr.log") as server:
        yield server


@pytest.fixture(scope="module")
def expected(folder: Path) -> tuple[str, int, int]:
    """What plain transformers answers in ten tokens; tokens of the question, tokens of the answer."""
    tiny = TinyModel(folder / MODEL)
    question: list[int] = tiny.tokenizer(TEXT).input_ids
    answer = tiny.reference(question, 10)
    return tiny.tokenizer.decode(answer, skip_special_tokens=True), len(question), len(answer)


def test_openais_routes_answer_whole_with_both_counts(client: openai.OpenAI, expected: tuple[str, int, int]) -> None:
    text, num_question, num_answer = expected
    chat = client.chat.completions.create(model=MODEL, messages=QUESTION, temperature=0, max_tokens=10)
    completion = client.completions.create(model=MODEL, prompt=TEXT, temperature=0, max_tokens=10)
    assert chat.choices[0].message.content == completion.choices[0].text == text
    assert chat.usage is not None
    assert completion.usage is not None
    for usage in (chat.usage, completion.usage):
        assert (usage.prompt_tokens, usage.completion_tokens) == (num_question, num_answer)
        assert usage.total_tokens == num_question + num_answer


def test_openais_routes_answer_in_streams_with_both_counts(
    client: openai.OpenAI, expected: tuple[str, int, int]
) -> None:
    text, num_question, num_answer = expected
    common: dict[str, Any] = {"model": MODEL, "temperature": 0, "max_tokens": 10, "stream": True}
    common["stream_options"] = {"include_usage": True}
    chat = list(client.chat.completions.create(messages=QUESTION, **common))
    completion = list(client.completions.create(prompt=TEXT, **common))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chat if chunk.choices) == text
    assert "".join(chunk.choices[0].text for chunk in completion if chunk.choices) == text
    for usage in (chat[-1].usage, completion[-1].usage):
        assert (usage.prompt_tokens, usage.completion_tokens) == (num_question, num_answer)


def test_native_routes_answer_whole_and_in_streams(server: ServerProcess, expected: tuple[str, int, int]) -> None:
    text, num_question, num_answer = expected
    model = f"{server.url}/models/{MODEL}"
    options = {"max_new_tokens": 10, "do_sample": False}
    generated = httpx2.post(f"{model}/generate", json={"text": TEXT, **options}, timeout=60).json()
    assert generated["generated_text"] == [text]
    assert generated["input_length"] == num_question
    assert generated["output_length"] == [num_answer]
    chat = httpx2.post(f"{model}/chat", json={"message": TEXT, "temperature": 0, "max_length": 10}, timeout=60).json()
    assert text.startswith(chat["response"])
    assert chat["response"]

    streamed = httpx2.post(f"{model}/generate", json={"text": TEXT, "stream": True, **options}, timeout=60)
    events = [
        json.loads(line.removeprefix("data: ")) for line in streamed.text.splitlines() if line.startswith("data: {")
    ]
    assert "".join(event.get("text", "") for event in events) == text
