"""huggingface_hub's InferenceClient."""

from typing import Any

import pytest

from tests.clients.conftest import EMBEDDED, RunClient, assert_both_numbers


@pytest.fixture(scope="module")
def shown(run_python: RunClient) -> dict[str, Any]:
    return run_python("huggingface_hub", "huggingface_hub_client.py")


@pytest.mark.parametrize("base_url", ["by_interface", "by_model"])
def test_both_kinds_of_base_url_answer_whole_and_streamed(shown: dict[str, Any], base_url: str) -> None:
    answers = shown[base_url]
    assert answers["model"] == EMBEDDED
    assert "Paris" in answers["whole"]
    assert answers["streamed"] == answers["whole"]
    assert answers["streamed_usage"] == answers["usage"]


def test_choices_stop_strings_and_logprobs_hold(shown: dict[str, Any]) -> None:
    assert shown["stopped"] == ["The capital of France is"] * 2
    assert shown["finish_reason"] == "stop"
    # The tokens of the stop string are listed as well.
    assert shown["num_tops"] == [2] * 6


def test_every_mistake_is_an_error_of_its_own_that_says_why(shown: dict[str, Any]) -> None:
    errors = shown["errors"]
    statuses = {mistake: (error["status"], error["is_bad_request"]) for mistake, error in errors.items()}
    assert statuses == {
        "unknown_model": (404, False),
        "too_long": (400, True),
        "refused_field": (400, True),
        "wrong_key": (401, False),
    }
    assert "model_not_found" in errors["unknown_model"]["message"]
    assert "context_length_exceeded" in errors["too_long"]["message"]
    assert_both_numbers(errors["too_long"]["message"])
    assert "web_search_options" in errors["refused_field"]["message"]
