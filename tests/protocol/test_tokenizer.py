from typing import Any

import pytest
from msgspec.structs import replace
from pydantic import ValidationError

from hostler.errors import InvalidRequestError
from hostler.protocol.openai_chat import ChatCompletionRequest
from hostler.protocol.tokenizer import MAX_CHARS_TO_TOKENIZE, MAX_TOKENS_TO_SPELL, DetokenizeRequest, TokenizeRequest
from hostler.types import ChatMessage, ChatPrompt, TextPrompt

TOOL = {"type": "function", "function": {"name": "clock"}}
MESSAGES = [{"role": "user", "content": "hi"}]


def test_a_prompt_is_text_and_messages_are_a_conversation() -> None:
    assert TokenizeRequest.model_validate({"prompt": "a"}).as_prompt() == TextPrompt(text="a")
    chat = TokenizeRequest.model_validate({"messages": MESSAGES}).as_prompt()
    assert chat == ChatPrompt(messages=[ChatMessage(role="user", content="hi")])


def test_a_conversation_is_rendered_as_the_chat_route_would() -> None:
    messages = [*MESSAGES, {"role": "assistant", "content": "he"}]
    for how in ({"continue_final_message": True}, {"add_generation_prompt": False}, {}):
        asked: dict[str, Any] = {"messages": messages, **how}
        chat = ChatCompletionRequest.model_validate({"model": "m", **asked})
        assert TokenizeRequest.model_validate(asked).as_prompt() == replace(chat.prompt(), splits_reasoning=False)


def test_a_conversation_is_told_of_tools_as_the_chat_route_would() -> None:
    asked: dict[str, Any] = {"messages": MESSAGES, "tools": [TOOL]}
    chat = ChatCompletionRequest.model_validate({"model": "m", **asked})

    prompt = TokenizeRequest.model_validate(asked).as_prompt()

    assert isinstance(prompt, ChatPrompt)
    assert prompt.tool_use is not None
    assert prompt == replace(chat.prompt(), splits_reasoning=False)


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": MESSAGES, "tools": [TOOL, TOOL]},
        {
            "messages": [*MESSAGES, {"role": "assistant", "content": "he"}],
            "continue_final_message": True,
            "tools": [TOOL],
        },
    ],
)
def test_tools_that_cannot_be_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        TokenizeRequest.model_validate(fields).as_prompt()
    assert caught.value.param == "tools"


def test_an_empty_prompt_is_one() -> None:
    assert TokenizeRequest.model_validate({"prompt": ""}).as_prompt() == TextPrompt(text="")


def test_null_is_the_default_of_every_optional_field() -> None:
    nulls: dict[str, Any] = dict.fromkeys(TokenizeRequest.model_fields)
    assert TokenizeRequest.model_validate(nulls | {"prompt": "a"}) == TokenizeRequest(prompt="a")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "prompt"),
        ({"prompt": None, "messages": None}, "prompt"),
        ({"prompt": "a", "messages": MESSAGES}, "prompt"),
        ({"messages": []}, "messages"),
        ({"prompt": "a", "add_special_tokens": "no"}, "add_special_tokens"),
        ({"prompt": ["a"]}, "prompt"),
        ({"prompt": "a", "tools": [TOOL]}, "tools"),
        ({"prompt": "a" * (MAX_CHARS_TO_TOKENIZE + 1)}, "prompt"),
        ({"messages": [{"role": "user", "content": "a" * (MAX_CHARS_TO_TOKENIZE // 2 + 1)}] * 2}, "messages"),
        ({"messages": MESSAGES, "continue_final_message": True}, "continue_final_message"),
        ({"prompt": "a", "return_token_strs": True}, "return_token_strs"),
    ],
)
def test_what_cannot_be_tokenized_is_refused_by_name(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TokenizeRequest.model_validate(fields)
    assert [error["loc"][0] for error in caught.value.errors()] == [field]


@pytest.mark.parametrize("tokens", [None, "1", [-1], [2**31], [True], [1.0], ["1"], [0] * (MAX_TOKENS_TO_SPELL + 1)])
def test_what_is_no_list_of_token_ids_is_refused(tokens: object) -> None:
    with pytest.raises(ValidationError) as caught:
        DetokenizeRequest.model_validate({"tokens": tokens})
    assert caught.value.errors()[0]["loc"][0] == "tokens"


def test_a_list_of_mistakes_is_told_by_its_first() -> None:
    with pytest.raises(ValidationError) as caught:
        DetokenizeRequest.model_validate({"tokens": ["a"] * 1000})
    assert [error["loc"] for error in caught.value.errors()] == [("tokens", 0)]


def test_the_schema_says_that_one_of_the_two_is_needed() -> None:
    prompt, messages = TokenizeRequest.model_json_schema()["oneOf"]
    assert prompt == {
        "required": ["prompt"],
        "properties": {"prompt": {"type": "string"}, "messages": {"type": "null"}},
    }
    assert messages["required"] == ["messages"]
