"""Anthropic's Python client."""

from typing import Any

import pytest

from tests.clients.conftest import EMBEDDED, EMBEDDER, RunClient, assert_both_numbers


@pytest.fixture(scope="module")
def shown(run_python: RunClient) -> dict[str, Any]:
    return run_python("anthropic", "anthropic_client.py")


def test_a_message_is_the_same_whole_and_in_events_and_asynchronously(shown: dict[str, Any]) -> None:
    assert "Paris" in shown["whole"]
    assert shown["ended"] == ["end_turn", None]
    assert shown["streamed"] == shown["whole"]
    assert shown["asynchronous"] == [shown["whole"]] * 2
    assert shown["streamed_tokens"] == shown["tokens"]
    assert shown["request_id"]


def test_tokens_are_counted_as_the_answer_counts_them(shown: dict[str, Any]) -> None:
    assert shown["counted"] == shown["tokens"][0] == 37


def test_models_are_listed_page_by_page_and_described(shown: dict[str, Any]) -> None:
    assert shown["models"] == [EMBEDDER, EMBEDDED, "tiny-llama"]
    assert shown["model"] == {"id": "tiny-llama", "display_name": "tests/tiny-llama", "type": "model"}


def test_the_events_have_their_order(shown: dict[str, Any]) -> None:
    assert [kind for kind in shown["kinds"] if kind != "content_block_delta"] == [
        "message_start",
        "content_block_start",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_histories_go_on_and_what_ends_an_answer_is_told(shown: dict[str, Any]) -> None:
    assert "Rome" in shown["continued"]
    assert shown["with_system"]
    assert "Paris" in shown["begun"]
    assert not shown["begun"].startswith("The capital")
    assert shown["stopped"] == ["The capital of France is", "stop_sequence", " Paris"]
    assert shown["cut"] == "max_tokens"


def test_a_call_that_has_to_be_made_is_made(shown: dict[str, Any]) -> None:
    reason, name, arguments = shown["called"]
    assert (reason, name) == ("tool_use", "weather")
    assert set(arguments) == {"city"}
    assert shown["called_streamed"] == shown["called"]
    assert shown["pieces"] == arguments
    assert shown["after_call"] in ("end_turn", "max_tokens")


def test_every_mistake_is_its_own_class_with_its_code(shown: dict[str, Any]) -> None:
    errors = shown["errors"]
    assert {mistake: (error["class"], error["type"], error["code"]) for mistake, error in errors.items()} == {
        "unknown_model": ("NotFoundError", "not_found_error", "model_not_found"),
        "unknown_model_asked_for": ("NotFoundError", "not_found_error", "model_not_found"),
        "too_long": ("BadRequestError", "invalid_request_error", "context_length_exceeded"),
        "too_long_streamed": ("BadRequestError", "invalid_request_error", "context_length_exceeded"),
        "wrong_key": ("AuthenticationError", "authentication_error", "invalid_api_key"),
        "image": ("BadRequestError", "invalid_request_error", "unsupported_parameter"),
    }
    assert all(error["request_id"] for error in errors.values())
    assert_both_numbers(errors["too_long"]["message"])
