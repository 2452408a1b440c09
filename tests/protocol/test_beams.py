from typing import Any

import pytest
from pydantic import ValidationError

from hostler.errors import InvalidRequestError
from hostler.protocol.native import ChatRequest, GenerateRequest
from hostler.protocol.openai_chat import ChatCompletionRequest
from hostler.protocol.openai_completions import CompletionRequest
from hostler.types import BeamParams, SamplingParams

MESSAGES = [{"role": "user", "content": "hi"}]


def generate(**fields: Any) -> SamplingParams:
    return GenerateRequest.model_validate({"text": "hi", **fields}).sampling_params(default_max_length=100)


def native_chat(**fields: Any) -> SamplingParams:
    return ChatRequest.model_validate({"message": "hi", **fields}).sampling_params(suggested_temperature=0.3)


def chat(**fields: Any) -> SamplingParams:
    return ChatCompletionRequest.model_validate({"model": "m", "messages": MESSAGES, **fields}).sampling_params(0.7)


def completion(**fields: Any) -> SamplingParams:
    return CompletionRequest.model_validate({"model": "m", "prompt": "hi", **fields}).sampling_params(0.7)


ROUTES = [generate, native_chat, chat, completion]


@pytest.mark.parametrize("ask", ROUTES)
def test_num_beams_alone_is_a_search_and_draws_nothing(ask: Any) -> None:
    params = ask(num_beams=4)
    assert params.beams == BeamParams(num_beams=4)
    assert params.temperature == 0


@pytest.mark.parametrize("ask", ROUTES)
def test_a_search_takes_its_length_penalty_and_when_to_stop(ask: Any) -> None:
    params = ask(num_beams=2, length_penalty=2, early_stopping="never")
    assert params.beams == BeamParams(num_beams=2, length_penalty=2.0, early_stopping="never")


@pytest.mark.parametrize("ask", ROUTES)
@pytest.mark.parametrize(
    "fields", [{}, {"num_beams": 1}, {"num_beams": 1, "length_penalty": 1, "early_stopping": False}]
)
def test_one_beam_is_no_search(ask: Any, fields: dict[str, Any]) -> None:
    assert ask(**fields) == ask()


@pytest.mark.parametrize("ask", ROUTES)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_beams", 0),
        ("num_beams", 17),
        ("num_beams", True),
        ("length_penalty", 11),
        ("length_penalty", float("inf")),
        ("early_stopping", "always"),
        ("early_stopping", 1),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(ask: Any, field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        ask(**{"num_beams": 4, field: value})
    assert caught.value.errors()[0]["loc"][0] == field


@pytest.mark.parametrize("ask", ROUTES)
@pytest.mark.parametrize("fields", [{"length_penalty": 2.0}, {"early_stopping": True}, {"early_stopping": "never"}])
def test_what_only_a_search_knows_is_refused_without_one(ask: Any, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match="set num_beams to more than 1") as caught:
        ask(**fields)
    assert caught.value.param == next(iter(fields))


@pytest.mark.parametrize(
    ("ask", "field", "value"),
    [
        *(
            (ask, field, value)
            for ask in ROUTES
            for field, value in [("temperature", 0.8), ("top_p", 0.5), ("top_k", 5)]
        ),
        *((ask, "do_sample", True) for ask in (generate, native_chat)),
        *((ask, field, 0.5) for ask in (chat, completion) for field in ("min_p", "typical_p")),
    ],
)
def test_a_search_that_is_to_draw_tokens_is_refused(ask: Any, field: str, value: object) -> None:
    with pytest.raises(InvalidRequestError, match=rf"{field} is {value}.* leave {field} out") as caught:
        ask(num_beams=4, **{field: value})
    assert caught.value.param == field


@pytest.mark.parametrize("fields", [{"do_sample": False}, {"temperature": 0}])
def test_a_search_that_says_it_draws_nothing_may_carry_what_greedy_requests_do(fields: dict[str, Any]) -> None:
    assert generate(num_beams=4, top_k=7, **fields).beams is not None


def test_fields_of_drawing_at_which_nothing_changes_are_taken() -> None:
    neutral = {"temperature": 0, "top_p": 1, "top_k": -1, "min_p": 0, "typical_p": 1, "seed": 3}
    assert chat(num_beams=4, **neutral).beams is not None


@pytest.mark.parametrize(("ask", "name"), [(generate, "num_return_sequences"), (chat, "n"), (completion, "n")])
def test_no_more_answers_than_beams(ask: Any, name: str) -> None:
    assert ask(num_beams=3, **{name: 3}).n == 3
    with pytest.raises(InvalidRequestError, match="num_beams is 3, fewer than the 4 answers") as caught:
        ask(num_beams=3, **{name: 4})
    assert caught.value.param == "num_beams"


def test_a_search_has_no_logprobs_and_no_best_of() -> None:
    asked: list[tuple[Any, dict[str, Any]]] = [
        (chat, {"logprobs": True}),
        (completion, {"logprobs": 0}),
        (completion, {"best_of": 3}),
    ]
    for ask, fields in asked:
        with pytest.raises(InvalidRequestError, match="not available with num_beams") as caught:
            ask(num_beams=4, **fields)
        assert caught.value.param == next(iter(fields))
    assert completion(num_beams=4, n=2, best_of=2).n == 2
