from typing import Any

import pytest
from pydantic import ValidationError

from hostler.protocol.compare import CompareRequest
from hostler.protocol.native import ChatRequest, GenerateRequest
from hostler.types import ChatMessage, ChatPrompt, TextPrompt

MODELS = ["a", "b"]


def compare(**fields: Any) -> CompareRequest:
    return CompareRequest.model_validate({"models": MODELS, **fields})


def test_a_text_is_continued_with_the_parameters_of_generate() -> None:
    asked = compare(text="hi", seed=3)
    assert asked.prompt() == TextPrompt(text="hi")
    assert asked.sampling_params(50, 0.2) == GenerateRequest(text="hi", seed=3).sampling_params(50)


def test_a_message_is_answered_with_the_parameters_of_chat() -> None:
    asked = compare(message="hi", max_length=9)
    assert asked.prompt() == ChatPrompt(messages=[ChatMessage(role="user", content="hi")])
    assert asked.sampling_params(50, 0.2) == ChatRequest(message="hi", max_length=9).sampling_params(0.2)


def test_a_conversation_is_taken_as_openais_route_takes_it() -> None:
    asked = compare(messages=[{"role": "developer", "content": "be kind"}, {"role": "user", "content": "hi"}])
    system, user = ChatMessage(role="system", content="be kind"), ChatMessage(role="user", content="hi")
    assert asked.prompt() == ChatPrompt(messages=[system, user])


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "text"),
        ({"text": "a", "message": "a"}, "text"),
        ({"message": "a", "messages": [{"role": "user", "content": "a"}]}, "text"),
        ({"text": "a", "models": []}, "models"),
        ({"text": "a", "models": list("abcdefghi")}, "models"),
        ({"text": "a", "models": "a"}, "models"),
        ({"text": "a", "num_return_sequences": 2}, "num_return_sequences"),
        ({"text": "a", "temperature": 0.05}, "temperature"),
        ({"text": "a", "max_new_tokens": 0}, "max_new_tokens"),
    ],
)
def test_what_cannot_be_compared_is_refused_by_name(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        compare(**fields)
    assert [error["loc"][0] for error in caught.value.errors()] == [field]
