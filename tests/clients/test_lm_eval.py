"""lm-evaluation-harness: its log-likelihoods are those of plain transformers."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.clients.conftest import RunClient
from tests.engine.harness import TinyModel

BOUND = 1e-3
WAYS = ("by_ids", "by_ids_in_batches", "by_text", "by_remote_tokenizer")


@pytest.fixture(scope="module")
def shown(run_python: RunClient, model_folder: Path) -> dict[str, Any]:
    return run_python("lm_eval", "lm_eval_client.py", model_folder)


@pytest.fixture(scope="module")
def reference(model_folder: Path) -> TinyModel:
    return TinyModel(model_folder)


@torch.inference_mode()
def score(reference: TinyModel, context: str, continuation: str) -> tuple[float, bool]:
    """Of the tokens that the whole text has beyond those of the context, as the harness parts them."""
    token_ids = reference.tokenizer(context + continuation, add_special_tokens=False).input_ids
    start = len(reference.tokenizer(context, add_special_tokens=False).input_ids)
    logits = reference.model(input_ids=torch.tensor([token_ids])).logits[0, start - 1 : -1]
    logprobs, expected = torch.log_softmax(logits.float(), dim=-1), torch.tensor(token_ids[start:])
    total = float(logprobs.gather(1, expected.unsqueeze(1)).sum())
    return total, bool((logprobs.argmax(dim=-1) == expected).all())


@pytest.mark.parametrize("way", WAYS)
def test_loglikelihoods_are_those_of_plain_transformers(shown: dict[str, Any], reference: TinyModel, way: str) -> None:
    rows = shown[way]["choose"]
    references = [score(reference, *row["request"]) for row in rows]
    assert [row["answer"][0] for row in rows] == pytest.approx([total for total, _ in references], abs=BOUND)
    assert [row["answer"][1] for row in rows] == [is_greedy for _, is_greedy in references]
    assert {row["answer"][1] for row in rows} == {True, False}


def test_a_chat_answers_every_row(shown: dict[str, Any]) -> None:
    answers = [row["answer"] for row in shown["by_chat"]["write"]]
    assert len(answers) == 3
    assert all(answers)


@pytest.mark.parametrize("way", ["by_ids", "by_remote_tokenizer"])
def test_generated_texts_are_those_of_plain_transformers(shown: dict[str, Any], reference: TinyModel, way: str) -> None:
    for row in shown[way]["write"]:
        context, settings = row["request"]
        token_ids = reference.tokenizer(context, add_special_tokens=False).input_ids
        text = reference.tokenizer.decode(reference.reference(token_ids, settings["max_gen_toks"]))
        for stop in settings["until"]:
            text = text.partition(stop)[0]
        assert row["answer"] == text
