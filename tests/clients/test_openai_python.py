"""OpenAI's Python client, told to validate every answer strictly."""

from typing import Any

import pytest

from tests.clients.conftest import EMBEDDED, EMBEDDER, RunClient, assert_openai_errors


@pytest.fixture(scope="module")
def shown(run_python: RunClient) -> dict[str, Any]:
    return run_python("openai", "openai_python.py")


def test_it_lists_the_models_and_finds_one_by_its_hugging_face_name(shown: dict[str, Any]) -> None:
    assert shown["models"] == [EMBEDDER, EMBEDDED, "tiny-llama"]
    assert shown["by_name"] == EMBEDDED


def test_a_chat_is_the_same_whole_and_streamed_and_so_is_its_usage(shown: dict[str, Any]) -> None:
    assert "Paris" in shown["whole"]
    assert shown["streamed"] == shown["whole"] == shown["with_nulls"]
    assert shown["request_id"]
    totals = [
        {name: usage[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
        for usage in (shown["usage"], shown["streamed_usage"])
    ]
    assert totals[0] == totals[1]
    assert totals[0]["total_tokens"] == totals[0]["prompt_tokens"] + totals[0]["completion_tokens"]


def test_a_seed_draws_the_same_choices_which_a_stream_interleaves(shown: dict[str, Any]) -> None:
    assert len(set(shown["choices"])) == 3
    assert shown["streamed_choices"] == shown["choices"]
    assert shown["order"] != sorted(shown["order"])


def test_a_stop_string_in_each_form_ends_the_answer(shown: dict[str, Any]) -> None:
    *stopped, whole = shown["stopped"].values()
    assert len(stopped) == 3
    for choice in stopped:
        assert (choice["message"]["content"], choice["finish_reason"]) == ("The capital of France is", "stop")
    assert whole["message"]["content"] == shown["whole"]


def test_logprobs_spell_the_answer_and_have_as_many_rivals_as_asked(shown: dict[str, Any]) -> None:
    entries = shown["logprobs"]
    assert b"".join(bytes(entry["bytes"]) for entry in entries).decode() == shown["scored"]
    for entry in entries:
        assert len(entry["top_logprobs"]) == 3
        # Greedy: the token itself is the likeliest, with the very same number.
        assert entry["top_logprobs"][0]["logprob"] == entry["logprob"]


def test_vectors_are_the_same_in_base64_which_it_asks_for_by_itself(shown: dict[str, Any]) -> None:
    assert shown["vectors"] == shown["vectors_as_numbers"]
    assert [len(vector) for vector in shown["vectors"]] == [384, 384]
    assert len(shown["vector_of_ids"]) == 16


def test_completions_take_every_form_of_prompt(shown: dict[str, Any]) -> None:
    assert shown["indices"] == [0, 1, 2, 3]
    assert shown["empty_prompt_tokens"] == 2
    assert shown["prompt_tokens_of_ids"] == 5
    assert shown["best_of"] == {"choices": 1, "tokens": 12}


def test_a_streamed_completion_is_the_whole_one_interleaved(shown: dict[str, Any]) -> None:
    assert shown["several_streamed"] == shown["several"]
    assert shown["several_order"] != sorted(shown["several_order"])
    assert len(set(shown["several_usage"])) == 1


def test_an_echo_has_the_prompt_and_its_logprobs(shown: dict[str, Any]) -> None:
    echoed = shown["echoed"]
    logprobs = echoed["logprobs"]
    assert echoed["text"].startswith("The grey")
    assert logprobs["token_logprobs"][0] is None
    assert len({len(entries) for entries in logprobs.values()}) == 1
    for own, top in zip(logprobs["token_logprobs"][1:], logprobs["top_logprobs"][1:], strict=True):
        assert own in top.values()


def test_every_mistake_is_its_own_class_with_its_code(shown: dict[str, Any]) -> None:
    errors = shown["errors"]
    assert_openai_errors(errors)
    seen = {mistake: (error["class"], error["code"], error["param"]) for mistake, error in errors.items()}
    assert seen == {
        "unknown_model": ("NotFoundError", "model_not_found", "model"),
        "unknown_model_retrieved": ("NotFoundError", "model_not_found", "model"),
        "too_long": ("BadRequestError", "context_length_exceeded", "messages"),
        "too_long_streamed": ("BadRequestError", "context_length_exceeded", "messages"),
        "too_long_answer": ("BadRequestError", "context_length_exceeded", "max_tokens"),
        "wrong_key": ("AuthenticationError", "invalid_api_key", None),
        "refused_field": ("BadRequestError", "unsupported_parameter", "web_search_options"),
        "bad_value": ("BadRequestError", "invalid_value", "temperature"),
        "suffix": ("BadRequestError", "unsupported_parameter", "suffix"),
    }
    assert {error["type"] for error in errors.values()} == {"invalid_request_error"}
