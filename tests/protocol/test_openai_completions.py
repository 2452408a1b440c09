from typing import Any, get_type_hints

import pytest
from openai.types import completion_create_params
from pydantic import ValidationError

from hostler.errors import InvalidRequestError, UnsupportedParameterError
from hostler.protocol.openai_completions import CompletionRequest
from hostler.types import SamplingParams, TextPrompt, TokenPrompt


def read(**fields: Any) -> CompletionRequest:
    return CompletionRequest.model_validate({"model": "m", "prompt": "p", **fields})


def openai_fields() -> set[str]:
    return set(get_type_hints(completion_create_params.CompletionCreateParamsStreaming))


def test_null_is_the_default_of_every_optional_field() -> None:
    nulls: dict[str, Any] = dict.fromkeys(openai_fields() - {"model", "prompt"})
    assert read(**nulls).sampling_params() == SamplingParams(max_tokens=16)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a", [TextPrompt(text="a")]),
        ("", [TextPrompt(text="")]),
        (["a", "b"], [TextPrompt(text="a"), TextPrompt(text="b")]),
        ([1, 2], [TokenPrompt(token_ids=[1, 2])]),
        ([[1], [2, 3]], [TokenPrompt(token_ids=[1]), TokenPrompt(token_ids=[2, 3])]),
    ],
)
def test_a_prompt_has_four_forms(prompt: object, expected: list[object]) -> None:
    assert read(prompt=prompt).prompt == expected


@pytest.mark.parametrize(
    "prompt", [None, [], [[]], 5, {}, [1, "a"], ["a", 1], [-1], [True], [1.5], [2**31], [[1], "a"], ["a"] * 1025]
)
def test_any_other_prompt_is_refused_by_name(prompt: object) -> None:
    with pytest.raises(ValidationError) as caught:
        read(prompt=prompt)
    assert {error["loc"][0] for error in caught.value.errors()} == {"prompt"}
    assert len(str(caught.value.errors()[0]["msg"])) < 300


def test_prompts_times_n_are_bounded() -> None:
    assert len(read(prompt=["a"] * 8, n=128).prompt) == 8
    with pytest.raises(ValidationError, match="at most 1024"):
        read(prompt=["a"] * 9, n=128)


@pytest.mark.parametrize(
    ("field", "value"),
    [("suffix", "x")],
)
def test_what_would_change_the_answer_and_is_not_done_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(UnsupportedParameterError) as caught:
        read(**{field: value})
    assert caught.value.param == field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("logprobs", -1),
        ("logprobs", 6),
        ("logprobs", True),
        ("echo", 1),
        ("best_of", 0),
        ("best_of", 21),
        ("best_of", True),
        ("max_tokens", -1),
    ],
)
def test_a_bad_value_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        read(**{field: value})
    assert {error["loc"][0] for error in caught.value.errors()} == {field}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"n": 3, "best_of": 2}, "at least n, which is 3"),
        ({"best_of": 2, "stream": True}, "not be more than n when stream is true"),
        ({"best_of": 20, "prompt": ["a"] * 52}, "at most 1024"),
    ],
)
def test_best_of_is_at_least_n_whole_and_bounded(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason) as caught:
        read(**fields)
    assert {error["loc"][0] for error in caught.value.errors()} == {"best_of"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"logprobs": 0}, SamplingParams(max_tokens=16, logprobs=0)),
        ({"logprobs": 5}, SamplingParams(max_tokens=16, logprobs=5)),
        ({"echo": True}, SamplingParams(max_tokens=16)),
        (
            {"echo": True, "logprobs": 1, "max_tokens": 0},
            SamplingParams(max_tokens=0, logprobs=1, prompt_logprobs=1),
        ),
        ({"best_of": 4, "n": 2}, SamplingParams(max_tokens=16, n=4, logprobs=0)),
        ({"best_of": 4, "n": 2, "logprobs": 3}, SamplingParams(max_tokens=16, n=4, logprobs=3)),
        ({"best_of": 2, "n": 2, "stream": True}, SamplingParams(max_tokens=16, n=2)),
        ({"typical_p": 0.9}, SamplingParams(max_tokens=16, typical_p=0.9)),
    ],
)
def test_what_is_to_be_reported_and_ranked_reaches_the_engine(fields: dict[str, Any], expected: SamplingParams) -> None:
    assert read(**fields).sampling_params() == expected


def test_no_tokens_at_most_are_refused_where_there_is_no_echo() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read(max_tokens=0).sampling_params()
    assert caught.value.param == "max_tokens"


@pytest.mark.parametrize("fields", [{"best_of": 1}, {"best_of": 3, "n": 3}, {"echo": False}, {"suffix": ""}])
def test_what_asks_for_nothing_is_accepted(fields: dict[str, Any]) -> None:
    assert read(**fields).sampling_params().max_tokens == 16
