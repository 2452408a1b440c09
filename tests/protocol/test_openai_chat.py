from typing import Any, get_type_hints

import pytest
from openai.types.chat import completion_create_params
from pydantic import ValidationError

from hostler.errors import HostlerError, UnsupportedParameterError
from hostler.protocol.openai_chat import ChatCompletionRequest
from hostler.tools import ToolCall
from hostler.types import ChatMessage, SamplingParams

MESSAGES = [{"role": "user", "content": "hi"}]


def read(**fields: Any) -> ChatCompletionRequest:
    return ChatCompletionRequest.model_validate({"model": "m", "messages": MESSAGES, **fields})


def openai_fields() -> set[str]:
    return set(get_type_hints(completion_create_params.CompletionCreateParamsStreaming))


def test_null_is_the_default_of_every_optional_field() -> None:
    nulls: dict[str, Any] = dict.fromkeys(openai_fields() - {"model", "messages"})
    assert read(**nulls).sampling_params() == SamplingParams()


def test_every_supported_field_reaches_the_engine() -> None:
    params = read(
        max_completion_tokens=5,
        temperature=0,
        top_p=0.5,
        n=3,
        stop="end",
        seed=-7,
        presence_penalty=-2,
        frequency_penalty=2,
        logit_bias={"17": -100, "3": 0.5},
        top_k=4,
        min_p=0.1,
        repetition_penalty=1.1,
        min_tokens=2,
        stop_token_ids=[9],
        ignore_eos=True,
        skip_special_tokens=False,
    ).sampling_params()
    assert params == SamplingParams(
        max_tokens=5,
        max_tokens_field="max_completion_tokens",
        temperature=0,
        top_p=0.5,
        n=3,
        stop=["end"],
        seed=-7,
        presence_penalty=-2,
        frequency_penalty=2,
        logit_bias={17: -100, 3: 0.5},
        top_k=4,
        min_p=0.1,
        repetition_penalty=1.1,
        min_tokens=2,
        stop_token_ids=[9],
        ignore_eos=True,
        skip_special_tokens=False,
    )


def test_a_developer_speaks_as_the_system_and_parts_of_text_are_joined() -> None:
    request = read(
        messages=[
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": "Ann"},
            {
                "role": "assistant",
                "content": "c",
                "refusal": None,
                "tool_calls": None,
                "annotations": [],
                "audio": None,
            },
        ]
    )
    assert request.prompt().messages == [
        ChatMessage(role="system", content="be brief"),
        ChatMessage(role="user", content="a\nb", name="Ann"),
        ChatMessage(role="assistant", content="c"),
    ]


def call(call_id: str = "call_1", arguments: str = '{"city": "Lyon"}', **more: Any) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "weather", "arguments": arguments}, **more}


def test_calls_and_what_they_gave_and_thoughts_are_part_of_the_conversation() -> None:
    request = read(
        messages=[
            *MESSAGES,
            {"role": "assistant", "tool_calls": [call(), call("call_2", "{", index=1)], "reasoning_content": "hm"},
            {"role": "tool", "content": [{"type": "text", "text": "sun"}], "tool_call_id": "call_2"},
            {"role": "tool", "content": "rain", "tool_call_id": "call_1", "name": "forecast"},
            {"role": "assistant", "content": "Rain.", "tool_calls": []},
        ]
    )
    assert request.prompt().messages == [
        ChatMessage(role="user", content="hi"),
        ChatMessage(
            role="assistant",
            content="",
            reasoning_content="hm",
            tool_calls=[
                ToolCall(id="call_1", name="weather", arguments='{"city": "Lyon"}'),
                ToolCall(id="call_2", name="weather", arguments="{"),
            ],
        ),
        ChatMessage(role="tool", content="sun", tool_call_id="call_2", name="weather"),
        ChatMessage(role="tool", content="rain", tool_call_id="call_1", name="forecast"),
        ChatMessage(role="assistant", content="Rain."),
    ]


@pytest.mark.parametrize(
    ("messages", "place"),
    [
        ([{"role": "tool", "content": "x", "tool_call_id": "call_1"}], r"Input\[0\].tool_call_id should be the id"),
        (
            [{"role": "assistant", "tool_calls": [call()]}, {"role": "tool", "content": "x", "tool_call_id": "c" * 99}],
            r"Input\[1\].tool_call_id .* not 'c{40}'",
        ),
        (
            [{"role": "tool", "content": "x", "tool_call_id": "call_1"}, {"role": "assistant", "tool_calls": [call()]}],
            r"Input\[0\].tool_call_id",
        ),
        ([{"role": "tool", "content": "x"}], r"messages.0.tool_call_id"),
        ([{"role": "user", "content": "x", "tool_call_id": "call_1"}], r"messages.0.tool_call_id"),
        ([{"role": "user", "content": "x", "tool_calls": [call()]}], r"messages.0.tool_calls"),
        ([{"role": "system", "content": "x", "reasoning_content": "x"}], r"messages.0.reasoning_content"),
        ([{"role": "assistant", "tool_calls": []}], r"messages.0.content"),
        ([{"role": "assistant", "content": None}], r"messages.0.content"),
        ([{"role": "assistant", "tool_calls": [call(arguments={})]}], r"messages.0.tool_calls.0.function.arguments"),  # type: ignore[arg-type]
        ([{"role": "assistant", "tool_calls": [call("")]}], r"messages.0.tool_calls.0.id"),
        ([{"role": "assistant", "tool_calls": [call()] * 129}], r"messages.0.tool_calls"),
    ],
)
def test_a_history_that_does_not_hold_together_is_refused_with_the_place(
    messages: list[dict[str, Any]], place: str
) -> None:
    with pytest.raises(ValidationError, match=place) as caught:
        read(messages=messages)
    assert {error["loc"][0] for error in caught.value.errors()} == {"messages"}


ANSWERED = [*MESSAGES, {"role": "assistant", "content": "Once"}]


def test_the_last_message_is_continued_where_the_request_says_so_and_only_there() -> None:
    plain = read(messages=ANSWERED).prompt()
    assert (plain.continue_last, plain.add_generation_prompt) == (False, True)
    for fields in ({}, {"add_generation_prompt": False}, {"add_generation_prompt": None}):
        assert read(messages=ANSWERED, continue_final_message=True, **fields).prompt().continue_last
    assert not read(messages=ANSWERED, continue_final_message=False).prompt().continue_last
    assert not read(add_generation_prompt=False).prompt().add_generation_prompt


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": ANSWERED, "continue_final_message": True, "add_generation_prompt": True},
        {"continue_final_message": True},
        {"messages": [*MESSAGES, {"role": "assistant", "content": ""}], "continue_final_message": True},
        {"messages": [*MESSAGES, {"role": "assistant", "tool_calls": [call()]}], "continue_final_message": True},
    ],
)
def test_what_cannot_be_continued_is_refused_by_name(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        read(**fields)
    assert {error["loc"] for error in caught.value.errors()} == {("continue_final_message",)}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("messages", []),
        ("messages", [{"role": "robot", "content": "x"}]),
        ("messages", [{"role": "user"}]),
        ("messages", [{"role": "user", "content": "x", "mood": "good"}]),
        ("temperature", 2.1),
        ("temperature", float("inf")),
        ("top_p", -0.1),
        ("n", 0),
        ("n", 129),
        ("max_tokens", 0),
        ("max_completion_tokens", -1),
        ("seed", 2**63),
        ("presence_penalty", 3),
        ("logit_bias", {"x": 1}),
        ("logit_bias", {"²": 1}),
        ("logit_bias", {"1": 101}),
        ("logit_bias", {str(i): 1 for i in range(1025)}),
        ("stop", [str(i) for i in range(10_000)]),
        ("stream", "yes"),
        ("stream_options", {"include_usage": True}),
        ("top_k", -2),
        ("priority", -101),
        ("typical_p", 0),
        ("repetition_penalty", 0.001),
        ("logprobs", 1),
        ("top_logprobs", 0),
        ("top_logprobs", 21),
        ("stop_token_ids", [-1]),
        ("frobnicate", 1),
        ("tools", {}),
        ("tools", [{}]),
        ("tools", [{"type": "function"}]),
        ("tools", [{"type": "function", "function": {"name": "f", "parameters": "object"}}]),
        ("tool_choice", "whatever"),
        ("tool_choice", ["auto"]),
        ("tool_choice", {"type": "function"}),
        ("parallel_tool_calls", "no"),
    ],
)
def test_a_bad_value_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        read(**{"stream": False} | {field: value})
    assert {error["loc"][0] for error in caught.value.errors()} == {field}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tools", [{"type": "custom", "custom": {"name": "f"}}]),
        ("tool_choice", {"type": "custom", "custom": {"name": "f"}}),
        ("regex", "[ab]"),
        ("guided_choice", ["a", "b"]),
        ("functions", [{}]),
        ("function_call", {"name": "f"}),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "x"}),
        ("web_search_options", {}),
        ("messages", [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]),
        ("messages", [{"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "custom"}]}]),
        ("messages", [{"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": ""}}]),
    ],
)
def test_what_would_change_the_answer_and_is_not_done_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(UnsupportedParameterError) as caught:
        read(**{field: value})
    assert caught.value.param == field


@pytest.mark.parametrize(
    "fields",
    [
        {"logprobs": False},
        {"tools": [], "tool_choice": "auto", "parallel_tool_calls": False},
        {"tool_choice": "none"},
        {"response_format": {"type": "text"}},
        {"modalities": ["text"]},
        {"user": "u", "store": True, "metadata": {"a": "b"}, "service_tier": "auto", "safety_identifier": "s"},
        {"stream": True, "stream_options": {"include_usage": False, "continuous_usage_stats": True}},
    ],
)
def test_what_changes_nothing_is_accepted(fields: dict[str, Any]) -> None:
    assert read(**fields).sampling_params() == SamplingParams()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"logprobs": False}, None),
        ({"logprobs": True}, 0),
        ({"logprobs": True, "top_logprobs": None}, 0),
        ({"logprobs": True, "top_logprobs": 20}, 20),
    ],
)
def test_top_logprobs_count_the_rivals_where_logprobs_asks(fields: dict[str, Any], expected: int | None) -> None:
    assert read(**fields).sampling_params().logprobs == expected


@pytest.mark.parametrize("fields", [{"top_logprobs": 2}, {"top_logprobs": 2, "logprobs": False}])
def test_top_logprobs_without_logprobs_are_refused_by_name(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="only when logprobs is true"):
        read(**fields)


def test_two_different_limits_are_refused_and_equal_ones_are_not() -> None:
    assert read(max_tokens=5, max_completion_tokens=5).limit() == 5
    with pytest.raises(ValidationError, match="max_completion_tokens"):
        read(max_tokens=5, max_completion_tokens=6)


def test_more_tokens_at_least_than_at_most_are_refused() -> None:
    with pytest.raises(HostlerError) as caught:
        read(max_tokens=5, min_tokens=6).sampling_params()
    assert caught.value.param == "min_tokens"
