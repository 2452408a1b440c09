"""LangChain's ChatOpenAI and OpenAI."""

from typing import Any

import pytest

from tests.clients.conftest import RunClient, assert_both_numbers


@pytest.fixture(scope="module")
def shown(run_python: RunClient) -> dict[str, Any]:
    return run_python("langchain", "langchain_openai_client.py")


def test_a_chat_is_the_same_whole_and_streamed_and_in_a_batch(shown: dict[str, Any]) -> None:
    assert "Paris" in shown["whole"]
    assert shown["streamed"] == shown["whole"]
    assert shown["batch"][0] == shown["whole"]
    for usage in (shown["usage"], shown["streamed_usage"]):
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] == 45


def test_history_stop_strings_choices_and_logprobs_hold(shown: dict[str, Any]) -> None:
    assert shown["history"]
    assert shown["stopped"] == "The capital of France is"
    assert len(set(shown["choices"])) == 3
    assert b"".join(bytes(entry["bytes"]) for entry in shown["logprobs"]).decode() == shown["whole"]
    assert all(len(entry["top_logprobs"]) == 2 for entry in shown["logprobs"])


def test_the_older_class_is_served_by_the_completion_route(shown: dict[str, Any]) -> None:
    assert shown["completion"].startswith(" Paris")
    assert shown["completion_streamed"] == shown["completion"] == shown["best_of"]
    assert len(shown["completions"]) == 2


def test_its_vectors_of_texts_find_the_nearest(shown: dict[str, Any]) -> None:
    asked, *read = shown["question_and_documents"]
    scores = [sum(a * b for a, b in zip(asked, vector, strict=True)) for vector in read]
    assert scores.index(max(scores)) == 1
    assert len(asked) == 384


def test_every_mistake_is_langchains_own_class(shown: dict[str, Any]) -> None:
    errors = shown["errors"]
    assert {mistake: (error["class"], error["code"]) for mistake, error in errors.items()} == {
        "unknown_model": ("OpenAIModelNotFoundError", "model_not_found"),
        "wrong_key": ("OpenAIAuthenticationError", "invalid_api_key"),
        "too_long": ("OpenAIContextOverflowError", "context_length_exceeded"),
        "too_long_streamed": ("OpenAIContextOverflowError", "context_length_exceeded"),
        "refused_field": ("OpenAIInvalidRequestError", "unsupported_parameter"),
    }
    assert_both_numbers(errors["too_long"]["message"])
    assert "web_search_options" in errors["refused_field"]["message"]
