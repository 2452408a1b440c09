"""pydantic-ai."""

from typing import Any

import pytest

from tests.clients.conftest import RunClient, assert_both_numbers


@pytest.fixture(scope="module")
def shown(run_python: RunClient) -> dict[str, Any]:
    return run_python("pydantic_ai", "pydantic_ai_client.py")


def test_an_agent_answers_the_same_whole_and_streamed_and_counts_the_same(shown: dict[str, Any]) -> None:
    assert "Paris" in shown["whole"]
    assert shown["streamed"] == shown["whole"]
    assert shown["streamed_usage"] == shown["usage"] == [37, 8]


def test_a_history_goes_on_and_settings_hold(shown: dict[str, Any]) -> None:
    assert "Rome" in shown["continued"]
    assert shown["stopped"] == "The capital of France is"


def test_every_mistake_is_its_own_class(shown: dict[str, Any]) -> None:
    errors = shown["errors"]
    assert {mistake: (error["class"], error["body"]["code"]) for mistake, error in errors.items()} == {
        "unknown_model": ("ModelNotFoundError", "model_not_found"),
        "wrong_key": ("ModelAuthenticationError", "invalid_api_key"),
        "too_long": ("ModelContextWindowExceededError", "context_length_exceeded"),
    }
    assert_both_numbers(errors["too_long"]["body"]["message"])
