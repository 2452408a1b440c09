"""OpenAI's client for Node."""

from typing import Any

import pytest

from tests.clients.conftest import EMBEDDED, EMBEDDER, RunClient, assert_openai_errors


@pytest.fixture(scope="module")
def shown(run_node: RunClient) -> dict[str, Any]:
    return run_node("openai_node.mjs")


def test_it_lists_the_models_and_finds_one_by_its_hugging_face_name(shown: dict[str, Any]) -> None:
    assert shown["models"] == [EMBEDDER, EMBEDDED, "tiny-llama"]
    assert shown["byName"] == EMBEDDED


def test_a_chat_is_the_same_whole_and_streamed_and_so_is_its_usage(shown: dict[str, Any]) -> None:
    assert "Paris" in shown["whole"]
    assert shown["streamed"] == shown["whole"]
    assert shown["streamedUsage"] == shown["usage"]
    assert shown["requestId"]


def test_streams_of_several_choices_are_the_whole_ones(shown: dict[str, Any]) -> None:
    assert len(set(shown["choices"])) == 3
    assert shown["streamedChoices"] == shown["choices"]
    assert shown["severalStreamed"] == shown["several"]


def test_a_stop_string_in_each_form_ends_the_answer_and_null_does_not(shown: dict[str, Any]) -> None:
    assert shown["stopped"] == [["The capital of France is", "stop"]] * 2 + [[shown["whole"], "stop"]]


def test_logprobs_are_as_many_as_asked(shown: dict[str, Any]) -> None:
    assert shown["tops"] == [2] * 6
    assert shown["echoed"]["text"].startswith("The grey")
    assert shown["echoed"]["logprobs"]["token_logprobs"][0] is None


def test_every_mistake_is_its_own_class_with_its_code(shown: dict[str, Any]) -> None:
    errors = shown["errors"]
    assert_openai_errors(errors)
    assert errors["too_long_streamed"] == errors["too_long"]
    assert errors["refused_field"]["param"] == "web_search_options"
    assert (errors["bad_value"]["class"], errors["bad_value"]["param"]) == ("BadRequestError", "temperature")
