"""The requests of `/v1/messages`, against the fields that Anthropic's client has today."""

import json
from typing import Any, get_args, get_type_hints

import pytest
from anthropic.types import (
    MessageCountTokensParams,
    OutputConfigParam,
    TextBlockParam,
    ThinkingBlockParam,
    ThinkingConfigAdaptiveParam,
    ThinkingConfigBetweenToolsParam,
    ThinkingConfigDisabledParam,
    ThinkingConfigEnabledParam,
    ToolChoiceAnyParam,
    ToolChoiceAutoParam,
    ToolChoiceNoneParam,
    ToolChoiceToolParam,
    ToolParam,
    ToolResultBlockParam,
    ToolUseBlockParam,
    message_create_params,
)
from anthropic.types.content_block_param import ContentBlockParam
from anthropic.types.tool_union_param import ToolUnionParam
from pydantic import ValidationError

from hostler.errors import InvalidRequestError, UnsupportedParameterError
from hostler.protocol.anthropic import CountTokensRequest, MessagesRequest, OutputOptions, ThinkingOptions
from hostler.protocol.anthropic_fields import MESSAGES_UNSUPPORTED, MESSAGES_WITHOUT_EFFECT
from hostler.protocol.anthropic_messages import MAX_TURNS
from hostler.protocol.anthropic_tools import AnthropicToolChoice
from hostler.tools import Tool, ToolCall, ToolUse
from hostler.types import ChatMessage, ChatPrompt

FIELDS = set(get_type_hints(message_create_params.MessageCreateParamsStreaming))
COUNT_FIELDS = set(get_type_hints(MessageCountTokensParams))
EXTENSIONS = {"keep_alive", "priority"}
NOT_TYPED = {"temperature", "top_k", "top_p"}
"""Of the interface, though the client's type leaves them to `extra_body`."""
CALL = {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Lyon"}}
RESULT = {"type": "tool_result", "tool_use_id": "call_1", "content": "rain"}
TOOL = {"name": "weather", "input_schema": {"type": "object", "properties": {}}}
HI = {"role": "user", "content": "hi"}


def read(**fields: Any) -> MessagesRequest:
    return MessagesRequest.model_validate({"model": "m", "max_tokens": 9, "messages": [HI], **fields})


def prompt(*turns: object, **fields: Any) -> ChatPrompt:
    return read(messages=list(turns), **fields).prompt()


def kinds_of(params: object) -> set[str]:
    """Every `type` of a union of the client's."""
    found: set[str] = set()
    for param in get_args(params):
        hint = get_type_hints(param)["type"]
        literals = [hint, *get_args(hint)]
        found.update(kind for literal in literals for kind in get_args(literal) if isinstance(kind, str))
    return found


def test_every_field_is_either_done_or_passed_over_or_refused() -> None:
    others = MESSAGES_WITHOUT_EFFECT | set(MESSAGES_UNSUPPORTED)
    done = set(MessagesRequest.model_fields)

    assert (done - EXTENSIONS - NOT_TYPED) | others == FIELDS
    assert not done & others
    assert (set(CountTokensRequest.model_fields) - EXTENSIONS) | (others & COUNT_FIELDS) == COUNT_FIELDS


def test_every_field_may_be_null() -> None:
    nulls = dict.fromkeys(FIELDS | EXTENSIONS | NOT_TYPED)

    assert read(**nulls | {"model": "m", "max_tokens": 9, "messages": [HI]}).prompt() == read().prompt()


def test_every_level_of_effort_is_taken() -> None:
    levels = [level for part in get_args(get_type_hints(OutputConfigParam)["effort"]) for level in get_args(part)]
    assert "low" in levels
    for level in levels:
        assert read(output_config={"effort": level}).prompt().reasoning.effort is not None


def test_options_are_the_clients() -> None:
    assert set(OutputOptions.model_fields) == set(get_type_hints(OutputConfigParam))
    for params in (
        ThinkingConfigEnabledParam,
        ThinkingConfigDisabledParam,
        ThinkingConfigAdaptiveParam,
        ThinkingConfigBetweenToolsParam,
    ):
        hints = get_type_hints(params)
        assert set(hints) <= set(ThinkingOptions.model_fields)
        assert read(thinking={"type": get_args(hints["type"])[0]})
    for choice in (ToolChoiceAutoParam, ToolChoiceAnyParam, ToolChoiceToolParam, ToolChoiceNoneParam):
        assert set(get_type_hints(choice)) <= set(AnthropicToolChoice.model_fields)


@pytest.mark.parametrize(
    ("params", "role", "filled"),
    [
        (TextBlockParam, "user", {"type": "text", "text": "hi"}),
        (TextBlockParam, "assistant", {"type": "text", "text": "hi"}),
        (ThinkingBlockParam, "assistant", {"type": "thinking", "thinking": "hm", "signature": "x"}),
        (ToolUseBlockParam, "assistant", CALL | {"caller": {"type": "direct"}}),
        (ToolResultBlockParam, "user", RESULT),
    ],
)
def test_every_key_of_a_block_may_be_null_or_sent_back(params: Any, role: str, filled: dict[str, Any]) -> None:
    keys = set(get_type_hints(params))
    assert set(filled) <= keys

    called = {"role": "assistant", "content": [CALL | {"id": "call_0"}, CALL]}
    assert prompt(HI, called, {"role": role, "content": [dict.fromkeys(keys) | filled]}).messages


def test_every_key_of_a_tool_is_accepted() -> None:
    assert read(tools=[dict.fromkeys(get_type_hints(ToolParam)) | TOOL | {"type": "custom"}]).prompt().tool_use


@pytest.mark.parametrize("kind", sorted(kinds_of(ToolUnionParam) - {"custom"}))
def test_tools_that_are_run_elsewhere_are_refused_by_name(kind: str) -> None:
    with pytest.raises(UnsupportedParameterError, match=kind) as caught:
        read(tools=[{"type": kind, "name": "x"}])

    assert caught.value.param == "tools"


@pytest.mark.parametrize("kind", sorted(kinds_of(ContentBlockParam) - {"text", "thinking", "tool_use", "tool_result"}))
def test_blocks_that_are_not_taken_are_refused_by_name(kind: str) -> None:
    with pytest.raises(UnsupportedParameterError, match=kind) as caught:
        prompt({"role": "user", "content": [{"type": kind}]})

    assert caught.value.param == "messages"


@pytest.mark.parametrize("name", sorted(MESSAGES_UNSUPPORTED))
def test_a_field_that_is_not_done_is_refused_with_a_remedy(name: str) -> None:
    with pytest.raises(UnsupportedParameterError, match=name) as caught:
        read(**{name: "x"})

    assert MESSAGES_UNSUPPORTED[name][1] in caught.value.message


@pytest.mark.parametrize("system", ["Be brief.", [{"type": "text", "text": "Be brief.", "cache_control": None}]])
def test_a_system_text_comes_first(system: object) -> None:
    assert prompt(HI, system=system).messages == [
        ChatMessage(role="system", content="Be brief."),
        ChatMessage(role="user", content="hi"),
    ]


def test_turns_of_one_role_in_a_row_are_one() -> None:
    assert [message.content for message in prompt(HI, {"role": "user", "content": "there"}).messages] == ["hi\nthere"]


def test_thoughts_calls_and_results_become_messages() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": ""}
    found = prompt(
        HI,
        {"role": "assistant", "content": [thought, {"type": "text", "text": "I look."}, CALL]},
        {"role": "user", "content": [RESULT, {"type": "text", "text": "and?"}]},
    ).messages

    assert [message.role for message in found] == ["user", "assistant", "tool", "user"]
    assert (found[1].reasoning_content, found[1].content) == ("hm", "I look.")
    assert found[1].tool_calls == [ToolCall(id="call_1", name="weather", arguments=json.dumps({"city": "Lyon"}))]
    assert (found[2].content, found[2].name, found[2].tool_call_id) == ("rain", "weather", "call_1")


def test_an_assistants_last_message_is_continued() -> None:
    assert prompt(HI, {"role": "assistant", "content": "I say"}).continue_last
    assert not prompt(HI).continue_last
    assert not prompt(HI, {"role": "assistant", "content": [CALL]}).continue_last


def test_an_answer_that_was_begun_with_nothing_is_left_out() -> None:
    assert prompt(HI, {"role": "assistant", "content": ""}).messages == prompt(HI).messages


@pytest.mark.parametrize(
    "turn",
    [
        {"role": "user", "content": [CALL]},
        {"role": "user", "content": [{"type": "thinking", "thinking": "hm"}]},
        {"role": "assistant", "content": [RESULT]},
        {"role": "user", "content": [RESULT]},
        {"role": "user", "content": []},
        {"role": "assistant", "content": ""},
    ],
)
def test_a_conversation_that_cannot_be_names_the_messages(turn: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        prompt(turn)

    assert caught.value.param == "messages"


def test_tools_do_not_go_with_an_answer_that_has_begun() -> None:
    with pytest.raises(InvalidRequestError, match="tools"):
        prompt(HI, {"role": "assistant", "content": "I say"}, tools=[TOOL])


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, {}),
        ({"type": "auto"}, {}),
        ({"type": "auto", "disable_parallel_tool_use": True}, {"is_parallel": False}),
        ({"type": "any"}, {"is_required": True}),
        ({"type": "tool", "name": "weather"}, {"is_required": True, "name": "weather", "is_parallel": False}),
    ],
)
def test_tools_reach_the_model(choice: object, expected: dict[str, Any]) -> None:
    tool = Tool(name="weather", parameters={"type": "object", "properties": {}})

    assert read(tools=[TOOL], tool_choice=choice).prompt().tool_use == ToolUse(tools=[tool], **expected)


def test_a_choice_of_none_keeps_the_tools_from_the_model() -> None:
    assert read(tools=[TOOL], tool_choice={"type": "none"}).prompt().tool_use is None


def test_parameters_reach_the_model() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    params = read(
        temperature=0,
        top_p=0.5,
        top_k=7,
        stop_sequences=["a"],
        output_config={"format": {"type": "json_schema", "schema": schema}},
    ).sampling_params(0.7)

    assert (params.temperature, params.top_p, params.top_k, params.stop) == (0, 0.5, 7, ["a"])
    assert (params.max_tokens, params.clamp_max_tokens) == (9, True)
    assert params.constraint is not None
    assert json.loads(params.constraint.text) == schema
    assert read().sampling_params(0.7).temperature == 0.7


@pytest.mark.parametrize(
    ("thinking", "is_shown"),
    [
        (None, False),
        ({"type": "disabled"}, False),
        ({"type": "enabled", "budget_tokens": 1024}, True),
        ({"type": "adaptive"}, True),
        ({"type": "adaptive", "display": "omitted"}, False),
    ],
)
def test_thoughts_are_shown_where_they_were_asked_for(thinking: object, is_shown: bool) -> None:
    assert read(thinking=thinking).shows_thinking is is_shown


@pytest.mark.parametrize(
    "fields",
    [
        {"max_tokens": None},
        {"max_tokens": 0},
        {"messages": []},
        {"messages": [HI] * (MAX_TURNS + 1)},
        {"messages": [{"role": "wizard", "content": "a"}]},
        {"messages": [{"role": "user", "content": 5}]},
        {"stop_sequences": [""]},
        {"stop_sequences": "a"},
        {"temperature": 3},
        {"tool_choice": {"type": "tool"}},
        {"tool_choice": {"type": "any", "name": "weather"}},
        {"tool_choice": "auto"},
        {"thinking": True},
        {"frequency_penalty": 1},
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read(**fields)
