"""LiteLLM."""

from typing import Any

import pytest

from tests.clients.conftest import RunClient, assert_both_numbers


@pytest.fixture(scope="module")
def shown(run_python: RunClient) -> dict[str, Any]:
    return run_python("litellm", "litellm_client.py")


def test_a_chat_is_the_same_whole_and_streamed_and_so_is_its_usage(shown: dict[str, Any]) -> None:
    assert "Paris" in shown["whole"]
    assert shown["streamed"] == shown["whole"]
    assert shown["streamed_usage"] == shown["usage"]


def test_choices_logprobs_and_stop_strings_hold(shown: dict[str, Any]) -> None:
    assert len(set(shown["choices"])) == 3
    assert set(shown["num_tops"]) == {2}
    assert shown["stopped"] == "The capital of France is"


def test_the_completion_route_is_served_whole_and_streamed(shown: dict[str, Any]) -> None:
    assert shown["completion"].startswith(" Paris")
    assert shown["completion_streamed"] == shown["completion"]


def test_every_mistake_is_litellms_own_class(shown: dict[str, Any]) -> None:
    errors = shown["errors"]
    assert {mistake: error["class"] for mistake, error in errors.items()} == {
        "unknown_model": "NotFoundError",
        "wrong_key": "AuthenticationError",
        "too_long": "ContextWindowExceededError",
        "too_long_streamed": "ContextWindowExceededError",
        "too_long_answer": "ContextWindowExceededError",
        "bad_value": "BadRequestError",
        "refused_field": "BadRequestError",
    }
    assert_both_numbers(errors["too_long"]["message"])
    assert "web_search_options" in errors["refused_field"]["message"]
