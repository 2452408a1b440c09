"""Log-likelihoods as lm-evaluation-harness asks for them and reads them, against plain transformers."""

import json
import random
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
import torch

from tests.e2e.server_process import ServerProcess
from tests.engine.harness import TinyModel
from tests.tiny_models import build_tiny_model

pytestmark = pytest.mark.timeout(120)

FAMILIES = ("gpt2", "llama")
BOUND = 1e-3
ENTRY = """
  {family}:
    name: tests/{family}
    type: text
    size: 1M
    description: Random weights
    max_length: 128
    max_num_batched_tokens: 32
    source:
      folder: {family}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("loglikelihood")
    for family in FAMILIES:
        build_tiny_model(family, folder / family)
    entries = "".join(ENTRY.format(family=family) for family in FAMILIES)
    (folder / "models.yaml").write_text(f"models:{entries}\nsettings:\n  torch_dtype: float32\n")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path, hostler_cache_dir: Path) -> Iterator[ServerProcess]:
    with ServerProcess(folder / "models.yaml", hostler_cache_dir, folder / "stderr.log") as server:
        yield server


def read_answer(body: dict[str, Any], context_lengths: list[int]) -> list[tuple[float, bool]]:
    """Sum and whether greedy, for each choice: the slice and the comparison of the harness's `local-completions`."""
    results = []
    for choice, start in zip(sorted(body["choices"], key=itemgetter("index")), context_lengths, strict=True):
        token_logprobs = choice["logprobs"]["token_logprobs"][start:-1]
        top_logprobs = choice["logprobs"]["top_logprobs"][start:-1]
        is_greedy = all(own == max(top.values()) for own, top in zip(token_logprobs, top_logprobs, strict=True))
        results.append((sum(token_logprobs), is_greedy))
    return results


@torch.inference_mode()
def expected(tiny: TinyModel, token_ids: list[int], start: int) -> tuple[float, bool]:
    logprobs = torch.log_softmax(tiny.model(input_ids=torch.tensor([token_ids])).logits[0, start - 1 : -1], dim=-1)
    continuation = torch.tensor(token_ids[start:])
    total = float(logprobs.gather(1, continuation.unsqueeze(1)).sum())
    return total, bool((logprobs.argmax(dim=-1) == continuation).all())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_continuations_loglikelihood_is_that_of_plain_transformers(
    family: str, folder: Path, server: ServerProcess
) -> None:
    tiny, rng = TinyModel(folder / family), random.Random(3)
    prompts: list[list[int]] = []
    starts: list[int] = []
    for length, num_new in [(3, 1), (40, 4), (60, 2), (10, 20), (90, 8)]:
        context = rng.choices(range(10, 400), k=length)
        # Every other continuation is the greedy one.
        new = tiny.reference(context, num_new) if len(prompts) % 2 else rng.choices(range(10, 400), k=num_new)
        prompts.append(context + new)
        starts.append(length)
    body = {
        "model": family,
        "prompt": prompts,
        "temperature": 0,
        "max_tokens": 1,
        "logprobs": 1,
        "seed": 1234,
        "echo": True,
    }
    response = httpx2.post(f"{server.url}/v1/completions", json=body, timeout=60)
    answer = json.loads(response.content)
    assert [len(choice["logprobs"]["tokens"]) for choice in answer["choices"]] == [len(ids) + 1 for ids in prompts]
    scores = read_answer(answer, starts)
    references = [expected(tiny, ids, start) for ids, start in zip(prompts, starts, strict=True)]
    assert [score for score, _ in scores] == pytest.approx([score for score, _ in references], abs=BOUND)
    assert [is_greedy for _, is_greedy in scores] == [is_greedy for _, is_greedy in references]
    assert any(is_greedy for _, is_greedy in references)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_bytes_of_a_chat_answer_are_its_text(family: str, server: ServerProcess) -> None:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0, timeout=60) as client:
        answer = client.chat.completions.create(
            model=family,
            messages=[{"role": "user", "content": "The grey"}],
            max_tokens=8,
            temperature=0,
            logprobs=True,
            top_logprobs=2,
        )
        choice = answer.choices[0]
        assert choice.logprobs is not None
        assert choice.logprobs.content is not None
        spelled = b"".join(bytes(entry.bytes or []) for entry in choice.logprobs.content)
        assert spelled.decode(errors="replace") == choice.message.content
        assert all(len(entry.top_logprobs) == 2 for entry in choice.logprobs.content)


def test_best_of_is_the_best_of_the_same_seeds_sequences(server: ServerProcess) -> None:
    asked: dict[str, Any] = {"model": "gpt2", "prompt": "The", "max_tokens": 6, "seed": 5, "logprobs": 0}
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0, timeout=60) as client:
        every = client.completions.create(**asked, n=4)
        best = client.completions.create(**asked, n=1, best_of=4)

    def mean(choice: openai.types.CompletionChoice) -> float:
        assert choice.logprobs is not None
        assert choice.logprobs.token_logprobs is not None
        return sum(choice.logprobs.token_logprobs) / len(choice.logprobs.token_logprobs)

    assert best.choices[0].text == max(every.choices, key=mean).text
    assert best.usage == every.usage
