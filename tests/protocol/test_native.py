from typing import Any

import pytest
from pydantic import ValidationError

from hostler.protocol.conversation import encode_context
from hostler.protocol.native import ChatRequest, GenerateRequest, NativeSampling
from hostler.types import ChatMessage, SamplingParams, TextPrompt


def generate(**fields: Any) -> SamplingParams:
    return GenerateRequest.model_validate({"text": "hi", **fields}).sampling_params(default_max_length=100)


def chat(**fields: Any) -> SamplingParams:
    return ChatRequest.model_validate({"message": "hi", **fields}).sampling_params(suggested_temperature=0.3)


def test_generate_has_the_defaults_of_the_contract() -> None:
    expected = SamplingParams(temperature=0.7, top_p=0.9, top_k=50, n=1, max_tokens=100, clamp_max_tokens=True)
    assert generate() == expected


def test_null_is_the_default_of_every_optional_field() -> None:
    nulls: dict[str, Any] = {name: None for name in GenerateRequest.model_fields if name != "text"}
    assert generate(**nulls) == generate()
    nulls = {name: None for name in ChatRequest.model_fields if name != "message"}
    assert chat(**nulls) == chat()


def test_special_tokens_are_left_out_unless_the_request_wants_them() -> None:
    assert generate().skip_special_tokens
    assert not generate(skip_special_tokens=False).skip_special_tokens
    assert not chat(skip_special_tokens=False).skip_special_tokens


def test_a_text_is_a_prompt_and_so_is_each_of_several() -> None:
    assert GenerateRequest(text="").prompts() == [TextPrompt(text="")]
    assert GenerateRequest(texts=["a", "b"]).prompts() == [TextPrompt(text="a"), TextPrompt(text="b")]


def test_max_length_bounds_prompt_and_answer_and_max_new_tokens_the_answer() -> None:
    assert generate(max_length=7) == SamplingParams(temperature=0.7, top_p=0.9, top_k=50, max_length=7)
    assert generate(max_new_tokens=7) == SamplingParams(
        temperature=0.7, top_p=0.9, top_k=50, max_tokens=7, max_tokens_field="max_new_tokens"
    )


def test_max_length_of_a_chat_bounds_the_answer_and_gives_way_to_the_context() -> None:
    params = chat(max_length=7)
    assert (params.max_tokens, params.clamp_max_tokens, params.max_length) == (7, True, None)
    assert chat().max_tokens is None


def test_a_temperature_of_0_is_greedy_and_not_absent() -> None:
    assert generate(temperature=0).temperature == 0
    assert chat(temperature=0).temperature == 0
    assert generate(do_sample=False, temperature=0.9).temperature == 0


def test_a_chat_takes_the_temperature_that_its_model_suggests() -> None:
    assert chat().temperature == 0.3
    assert chat(temperature=1.5).temperature == 1.5


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_length", 0),
        ("max_length", 4097),
        ("max_length", True),
        ("max_length", 1.5),
        ("max_length", "9"),
        ("max_new_tokens", 0),
        ("temperature", 0.05),
        ("temperature", 2.1),
        ("temperature", -1),
        ("temperature", float("nan")),
        ("temperature", True),
        ("top_p", 0.05),
        ("top_p", 1.1),
        ("top_k", 0),
        ("top_k", 101),
        ("num_return_sequences", 0),
        ("num_return_sequences", 6),
        ("do_sample", "yes"),
        ("seed", 2**63),
        ("priority", 101),
        ("priority", 0.5),
        ("stop", ["x"] * 33),
        ("stop", [""]),
        ("stop", "x" * 513),
        ("unknown", 1),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        generate(**{field: value})
    assert [error["loc"][0] for error in caught.value.errors()] == [field]


@pytest.mark.parametrize("fields", [{"do_sample": False}, {"temperature": 0}])
def test_a_greedy_request_for_several_answers_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="all would be the same"):
        generate(num_return_sequences=2, **fields)


def test_two_limits_are_refused() -> None:
    with pytest.raises(ValidationError, match="beside max_length"):
        NativeSampling.model_validate({"max_length": 5, "max_new_tokens": 5})


def test_a_whole_float_is_an_integer_as_in_json_schema() -> None:
    assert generate(top_k=5.0, stop="x").top_k == 5


def test_a_chat_goes_on_from_its_context() -> None:
    earlier = [ChatMessage(role="user", content="a"), ChatMessage(role="assistant", content="b")]
    request = ChatRequest(message="c", context=encode_context(earlier))
    assert request.turns() == [*earlier, ChatMessage(role="user", content="c")]


def test_a_chat_may_be_sent_whole() -> None:
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "a"}]
    assert ChatRequest.model_validate({"messages": messages}).turns() == [
        ChatMessage(role="system", content="s"),
        ChatMessage(role="user", content="a"),
    ]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "Field required, or messages"),
        ({"message": "a", "messages": [{"role": "user", "content": "b"}]}, "beside another"),
        ({"context": "a", "messages": [{"role": "user", "content": "b"}]}, "beside context"),
    ],
)
def test_a_chat_is_one_message_or_all_of_them(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        ChatRequest.model_validate(fields)
