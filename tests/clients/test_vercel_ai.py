"""Vercel's AI SDK."""

from typing import Any

import pytest

from tests.clients.conftest import RunClient, assert_both_numbers


@pytest.fixture(scope="module")
def shown(run_node: RunClient) -> dict[str, Any]:
    return run_node("vercel_ai.mjs")


def test_a_text_is_the_same_whole_and_streamed_and_so_is_its_usage(shown: dict[str, Any]) -> None:
    assert "Paris" in shown["whole"]
    assert shown["finishReason"] == "stop"
    assert shown["streamed"] == shown["whole"]
    assert shown["streamedUsage"] == shown["usage"]


def test_a_history_in_parts_is_taken_and_stop_sequences_hold(shown: dict[str, Any]) -> None:
    assert shown["stopped"]
    assert " Paris" not in shown["stopped"]


def test_the_completion_model_is_served(shown: dict[str, Any]) -> None:
    assert "Paris" in shown["completion"]
    assert shown["completionStreamed"] == shown["completion"]


def test_a_mistake_is_an_api_call_error_that_is_not_tried_again(shown: dict[str, Any]) -> None:
    errors = shown["errors"]
    seen = {mistake: (error["statusCode"], error["data"]["error"]["code"]) for mistake, error in errors.items()}
    assert seen == {
        "unknown_model": (404, "model_not_found"),
        "wrong_key": (401, "invalid_api_key"),
        "too_long": (400, "context_length_exceeded"),
        "too_long_streamed": (400, "context_length_exceeded"),
    }
    assert all(error["isApiCallError"] and not error["isRetryable"] for error in errors.values())
    assert_both_numbers(errors["too_long"]["message"])
