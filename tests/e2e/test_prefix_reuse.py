"""A growing chat through HTTP: what was computed for the last turn is not computed again, and nobody can tell."""

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletionMessageParam

from tests.e2e.server_process import ServerProcess
from tests.tiny_models import build_tiny_model

pytestmark = pytest.mark.timeout(120)

MODEL, ANEW = "reusing", "anew"
"""The same model; the second computes every prompt from its first token."""
ENTRY = """
  {model}:
    name: tests/{model}
    type: text
    size: 1M
    description: Random weights
    max_length: 128
    reuse_prefixes: {reuses}
    source:
      folder: tiny
"""
SYSTEM = "You are the hostler of a stable with seven horses, and each of them has a name."
STORY = "Every morning the hostler opens the door, fills the water trough and brushes the grey mare. " * 2


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, hostler_cache_dir: Path) -> Iterator[openai.OpenAI]:
    folder = tmp_path_factory.mktemp("prefixes")
    build_tiny_model("llama_chat", folder / "tiny")
    entries = ENTRY.format(model=MODEL, reuses="true") + ENTRY.format(model=ANEW, reuses="false")
    (folder / "models.yaml").write_text(f"models:{entries}\nsettings:\n  torch_dtype: float32\n")
    with (
        ServerProcess(folder / "models.yaml", hostler_cache_dir, folder / "stderr.log") as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client,
    ):
        yield client


def cached_tokens(usage: CompletionUsage | None) -> int:
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    return usage.prompt_tokens_details.cached_tokens or 0


def chat(client: openai.OpenAI, model: str, messages: list[ChatCompletionMessageParam]) -> tuple[str, int]:
    answer = client.chat.completions.create(model=model, messages=messages, temperature=0, max_tokens=12)
    return answer.choices[0].message.content or "", cached_tokens(answer.usage)


def test_the_second_turn_of_a_chat_goes_on_where_the_first_ended(client: openai.OpenAI) -> None:
    messages: list[ChatCompletionMessageParam] = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": "Hello, how are you today?"},
    ]
    first, num_cached = chat(client, MODEL, messages)
    assert num_cached == 0
    messages += [{"role": "assistant", "content": first}, {"role": "user", "content": "What is her name?"}]
    second, num_cached = chat(client, MODEL, messages)
    assert num_cached >= 32
    assert chat(client, ANEW, messages) == (second, 0)

    chunks = list(
        client.chat.completions.create(
            model=MODEL,
            messages=messages,
            temperature=0,
            max_tokens=12,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == second
    assert cached_tokens(chunks[-1].usage) > num_cached


def test_completions_say_so_too_and_a_prompt_counts_once_whatever_is_made_of_it(client: openai.OpenAI) -> None:
    def complete(model: str, n: int) -> tuple[list[str], int]:
        answer = client.completions.create(model=model, prompt=STORY, n=n, seed=7, max_tokens=8)
        assert answer.usage is not None
        assert cached_tokens(answer.usage) < answer.usage.prompt_tokens
        return [choice.text for choice in answer.choices], cached_tokens(answer.usage)

    expected, num_cached = complete(ANEW, 3)
    assert num_cached == 0
    assert complete(MODEL, 3) == (expected, 0)
    again, num_cached = complete(MODEL, 3)
    assert again == expected
    assert num_cached >= 32
