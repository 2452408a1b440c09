"""Vercel's AI SDK, by its providers for OpenAI and for Anthropic."""

from typing import Any

import pytest

from tests.clients.conftest import RunClient, assert_both_numbers

PROVIDERS = ["openai", "anthropic"]


@pytest.fixture(scope="module")
def shown(run_node: RunClient) -> dict[str, Any]:
    return run_node("vercel_dialects.mjs")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_text_is_the_same_whole_and_streamed_and_so_is_its_usage(shown: dict[str, Any], provider: str) -> None:
    told = shown[provider]
    assert "Paris" in told["whole"]
    assert told["finishReason"] == "stop"
    assert told["streamed"] == told["whole"]
    assert told["streamedUsage"] == told["usage"]
    assert told["continued"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_call_that_has_to_be_made_is_made(shown: dict[str, Any], provider: str) -> None:
    told = shown[provider]
    assert told["called"] == told["calledStreamed"] == [["weather", ["city"]]]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_mistake_is_an_api_call_error_that_is_not_tried_again(shown: dict[str, Any], provider: str) -> None:
    errors = shown[provider]["errors"]
    assert {mistake: error["statusCode"] for mistake, error in errors.items()} == {
        "unknown_model": 404,
        "too_long": 400,
    }
    assert all(error["isApiCallError"] and not error["isRetryable"] for error in errors.values())
    assert_both_numbers(errors["too_long"]["message"])
