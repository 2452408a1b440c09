"""Native routes against a real server that has room for one model at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from hostler.client import Hostler
from tests.e2e.server_process import ServerProcess

pytestmark = [pytest.mark.timeout(300), pytest.mark.long]

EMBEDDED = "smollm2-135m"
TINY = "tiny-gpt2"
TEXTS = ["The capital of France is", "A horse", "One, two, three,"]


@pytest.fixture(scope="module")
def server(
    registry_file: Path, hostler_cache_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    log = tmp_path_factory.mktemp("server") / "stderr.log"
    with ServerProcess(registry_file, hostler_cache_dir, log, {"MAX_CONCURRENT_MODELS": "1"}) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Iterator[Hostler]:
    with Hostler(server.url) as client:
        yield client


def test_a_comparison_of_more_models_than_there_is_room_for_is_answered(client: Hostler) -> None:
    with client.stream_compare([EMBEDDED, TINY], TEXTS[0], max_new_tokens=4, temperature=0) as stream:
        pieces = list(stream)

    answers = {answer["model_id"]: answer for answer in stream.answers}
    assert set(answers) == {EMBEDDED, TINY}
    for model_id, answer in answers.items():
        text = "".join(piece["text"] for piece in pieces if piece["model_id"] == model_id)
        assert (answer["error"], answer["answer"], answer["completion_tokens"]) == (None, text, 4)
    assert "Paris" in str(answers[EMBEDDED]["answer"])
    first, second = sorted(answers.values(), key=lambda answer: answer["total_s"] or 0.0)
    assert (second["load_s"] or 0.0) > (first["load_s"] or 0.0)


def test_each_of_several_texts_is_answered_as_if_it_were_alone(server: ServerProcess) -> None:
    def ask(**content: Any) -> Any:
        asked = {"max_new_tokens": 5, "seed": 11, "temperature": 1.5, "num_return_sequences": 2}
        return httpx2.post(f"{server.url}/models/{TINY}/generate", json=asked | content, timeout=60).json()

    assert ask(texts=TEXTS)["answers"] == [ask(text=text) for text in TEXTS]


def test_tokens_are_those_that_an_answer_begins_from(client: Hostler, server: ServerProcess) -> None:
    tokens = client.tokenize(TEXTS[0], model=EMBEDDED)["tokens"]
    asked = {"model": EMBEDDED, "temperature": 0, "max_tokens": 4}
    by_text, by_tokens = (
        httpx2.post(f"{server.url}/v1/completions", json=asked | {"prompt": prompt}, timeout=60).json()
        for prompt in (TEXTS[0], tokens)
    )
    assert by_text["choices"] == by_tokens["choices"]
    assert by_text["usage"]["prompt_tokens"] == len(tokens)
    assert client.detokenize(tokens)["prompt"] == TEXTS[0]


def test_a_conversation_has_as_many_tokens_as_its_answer_counts(client: Hostler, server: ServerProcess) -> None:
    messages = [{"role": "user", "content": "Hi"}]
    asked = {"model": EMBEDDED, "messages": messages, "max_tokens": 1}
    answer = httpx2.post(f"{server.url}/v1/chat/completions", json=asked, timeout=60).json()
    assert client.tokenize(messages, model=EMBEDDED)["count"] == answer["usage"]["prompt_tokens"]


def test_what_a_loaded_model_can_do_includes_how_it_is_prompted(client: Hostler) -> None:
    client.load(EMBEDDED)
    able = client.capabilities(EMBEDDED)
    assert (able["loaded"], able["chat_format"], able["max_model_len"]) == (True, "template", 8192)
    assert client.capabilities(TINY)["loaded"] is False
