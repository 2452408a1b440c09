"""OpenAI's Python client on `/v1/responses`."""

from typing import Any

import pytest

from tests.clients.conftest import RunClient, assert_openai_errors


@pytest.fixture(scope="module")
def shown(run_python: RunClient) -> dict[str, Any]:
    return run_python("openai", "openai_responses.py")


def test_a_response_is_the_same_whole_and_in_events(shown: dict[str, Any]) -> None:
    assert "Paris" in shown["whole"]
    assert shown["status"] == "completed"
    assert shown["streamed"] == shown["final"] == shown["asynchronous"] == shown["whole"]
    # The second time the prompt was known.
    for usage in (shown["usage"], shown["streamed_usage"]):
        del usage["input_tokens_details"]
    assert shown["streamed_usage"] == shown["usage"]


def test_the_events_have_their_order_and_their_numbers(shown: dict[str, Any]) -> None:
    kinds = [kind.removeprefix("response.") for kind in shown["kinds"] if not kind.endswith("delta")]
    assert kinds == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert shown["numbers"] == list(range(len(shown["numbers"])))


def test_a_history_goes_on_and_a_limit_is_told(shown: dict[str, Any]) -> None:
    assert "Rome" in shown["continued"]
    assert shown["instructed"]
    assert shown["cut"] == ["incomplete", "max_output_tokens"]


def test_logprobs_spell_the_answer(shown: dict[str, Any]) -> None:
    assert b"".join(bytes(entry["bytes"]) for entry in shown["scored"]).decode() == shown["whole"]
    assert {len(entry["top_logprobs"]) for entry in shown["scored"]} == {2}


def test_a_schema_is_kept(shown: dict[str, Any]) -> None:
    assert set(shown["parsed"]) == {"city", "is_large"}


def test_a_call_that_has_to_be_made_is_made(shown: dict[str, Any]) -> None:
    kind, name, arguments = shown["called"]
    assert (kind, name) == ("function_call", "weather")
    assert set(arguments) == {"city"}
    assert shown["called_streamed"] == shown["called"]
    assert shown["pieces"] == arguments
    assert shown["after_call"] in ("completed", "incomplete")


def test_every_mistake_is_its_own_class_with_its_code(shown: dict[str, Any]) -> None:
    errors = shown["errors"]
    assert_openai_errors(errors)
    assert {mistake: (error["code"], error["param"]) for mistake, error in errors.items()} == {
        "unknown_model": ("model_not_found", "model"),
        "too_long": ("context_length_exceeded", "input"),
        "wrong_key": ("invalid_api_key", None),
        "stored": ("unsupported_parameter", "previous_response_id"),
        "built_in_tool": ("unsupported_parameter", "tools"),
    }
