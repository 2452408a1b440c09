"""Beam search through a real server, on the native and on OpenAI's routes, whole and streamed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from tests.e2e.server_process import ServerProcess
from tests.engine.beam_reference import best_of_generate
from tests.engine.harness import TinyModel
from tests.tiny_models import build_tiny_model

pytestmark = pytest.mark.timeout(120)

FAMILIES = ("t5", "gpt2")
TEXT = "How many legs has a horse?"
REGISTRY = "models:\n" + "".join(
    f"""
  {family}:
    name: tests/{family}
    type: text
    size: 1M
    description: Random weights
    max_length: 128
    max_num_seqs: 8
    source:
      folder: {family}
"""
    for family in FAMILIES
)
SETTINGS = """
settings:
  torch_dtype: float32
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("beams")
    for family in FAMILIES:
        build_tiny_model(family, folder / family)
    (folder / "models.yaml").write_text(REGISTRY + SETTINGS)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path, hostler_cache_dir: Path) -> Iterator[ServerProcess]:
    with ServerProcess(folder / "models.yaml", hostler_cache_dir, folder / "stderr.log") as server:
        yield server


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, tuple[list[str], int, int]]:
    """By family: the two best answers of four beams as `generate` gives them, tokens of the question and of both."""
    return {family: _found(TinyModel(folder / family)) for family in FAMILIES}


def _found(tiny: TinyModel) -> tuple[list[str], int, int]:
    question: list[int] = tiny.tokenizer(TEXT).input_ids
    best = best_of_generate(tiny, question, 10, num_beams=4, length_penalty=2.0, early_stopping=True)[:2]
    texts = [tiny.tokenizer.decode(tokens, skip_special_tokens=True) for tokens, _ in best]
    return texts, len(question), sum(len(tokens) for tokens, _ in best)


BEAMS = {"num_beams": 4, "length_penalty": 2.0, "early_stopping": True}


@pytest.mark.parametrize("family", FAMILIES)
def test_openais_route_answers_with_the_best_and_counts_them(
    family: str, client: openai.OpenAI, found: dict[str, tuple[list[str], int, int]]
) -> None:
    texts, num_question, num_answers = found[family]
    asked: dict[str, Any] = {"model": family, "prompt": TEXT, "max_tokens": 10, "n": 2, "extra_body": BEAMS}
    whole = client.completions.create(**asked)
    assert [choice.text for choice in whole.choices] == texts
    assert whole.usage is not None
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (num_question, num_answers)

    chunks = list(client.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    streamed = ["", ""]
    for choice in (choice for chunk in chunks for choice in chunk.choices):
        streamed[choice.index] += choice.text
    assert streamed == texts
    assert chunks[-1].usage.completion_tokens == num_answers


def test_a_chat_is_searched_too(client: openai.OpenAI, found: dict[str, tuple[list[str], int, int]]) -> None:
    answer = client.chat.completions.create(
        model="t5", messages=[{"role": "user", "content": TEXT}], max_tokens=10, n=2, extra_body=BEAMS
    )
    assert [choice.message.content for choice in answer.choices] == found["t5"][0]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_native_routes_answer_whole_and_streamed(
    family: str, server: ServerProcess, found: dict[str, tuple[list[str], int, int]]
) -> None:
    before = "" if family == "t5" else TEXT
    texts = [before + text for text in found[family][0]]
    asked = {"text": TEXT, "max_new_tokens": 10, "num_return_sequences": 2, **BEAMS}
    whole = httpx2.post(f"{server.url}/models/{family}/generate", json=asked, timeout=60).json()
    assert whole["generated_text"] == texts
    assert BEAMS.items() <= whole["generation_params"].items()
    assert whole["generation_params"]["do_sample"] is False

    streamed = httpx2.post(f"{server.url}/models/{family}/generate", json=asked | {"stream": True}, timeout=60)
    events = [json.loads(line[6:]) for line in streamed.text.splitlines() if line.startswith("data: {")]
    assert [before + event["text"] for event in events[:-1]] == texts
    assert events[-1] == whole

    chat = {"message": TEXT, "max_new_tokens": 10, **BEAMS}
    assert httpx2.post(f"{server.url}/models/t5/chat", json=chat, timeout=60).json()["response"] == found["t5"][0][0]


@pytest.mark.parametrize(
    ("fields", "words", "param"),
    [
        ({"num_beams": 2, "n": 3}, "fewer than the 3 answers", "num_beams"),
        ({"num_beams": 2, "temperature": 0.7}, "temperature is 0.7", "temperature"),
        ({"num_beams": 9}, "at most 8 sequences", "num_beams"),
        ({"num_beams": 2, "logprobs": 1}, "logprobs", "logprobs"),
        ({"early_stopping": "never"}, "num_beams", "early_stopping"),
    ],
)
def test_what_cannot_be_searched_is_a_plain_400(
    fields: dict[str, Any], words: str, param: str, server: ServerProcess
) -> None:
    asked = {"model": "gpt2", "prompt": TEXT, "stream": True, **fields}
    answer = httpx2.post(f"{server.url}/v1/completions", json=asked, timeout=60)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert words in error["message"]
    assert error["param"] == param
