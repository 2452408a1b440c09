"""Conversations through chat templates give the tokens that transformers itself gives."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hostler.engine.text.chat_template import MAX_GROWTH, MAX_OWN_CHARS, TemplateCall, conversation, render
from hostler.engine.text.input_processor import InputProcessor
from hostler.errors import InvalidRequestError
from hostler.tools import ToolCall
from hostler.types import ChatMessage, ChatPrompt, Reasoning
from tests.engine import chat_templates
from tests.engine.harness import TinyModel

Tiny = Callable[[str], TinyModel]
TURNS = [
    ChatMessage(role="user", content="What is the weather in Lyon? 🐴"),
    ChatMessage(role="assistant", content="  Let me see.\n", reasoning_content="They ask\nfor the weather."),
    ChatMessage(role="user", content="Well?", name="Anna"),
    ChatMessage(role="assistant", content="It is <|im_end|> fine "),
]
TURNS_AS_DOCUMENTED: list[dict[str, Any]] = [
    {"role": "user", "content": "What is the weather in Lyon? 🐴"},
    {"role": "assistant", "content": "  Let me see.\n", "reasoning_content": "They ask\nfor the weather."},
    {"role": "user", "content": "Well?", "name": "Anna"},
    {"role": "assistant", "content": "It is <|im_end|> fine "},
]
CALLS = [
    ChatMessage(role="user", content="Lyon and Rome?"),
    ChatMessage(
        role="assistant",
        content="",
        tool_calls=[
            ToolCall(id="call_1", name="weather", arguments='{"city": "Lyon", "days": 2, "sure": null}'),
            ToolCall(id="call_2", name="weather", arguments='{"city": "Ro'),
            ToolCall(id="call_3", name="weather", arguments='["Rome"]'),
        ],
    ),
    ChatMessage(role="tool", content="sun", tool_call_id="call_1", name="weather"),
    ChatMessage(role="tool", content="no such city", tool_call_id="call_2", name="weather"),
]


def _documented_call(call_id: str, arguments: object) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "weather", "arguments": arguments}}


CALLS_AS_DOCUMENTED: list[dict[str, Any]] = [
    {"role": "user", "content": "Lyon and Rome?"},
    {
        "role": "assistant",
        "tool_calls": [
            _documented_call("call_1", {"city": "Lyon", "days": 2, "sure": None}),
            _documented_call("call_2", '{"city": "Ro'),
            _documented_call("call_3", '["Rome"]'),
        ],
    },
    {"role": "tool", "content": "sun", "tool_call_id": "call_1", "name": "weather"},
    {"role": "tool", "content": "no such city", "tool_call_id": "call_2", "name": "weather"},
]


@pytest.fixture
def model(tiny: Tiny) -> Iterator[TinyModel]:
    """Its template may be changed."""
    model = tiny("llama_chat")
    own = model.tokenizer.chat_template
    yield model
    model.tokenizer.chat_template = own


def tokens(model: TinyModel, prompt: ChatPrompt) -> list[int]:
    return InputProcessor(model.tokenizer, model.limits, render).tokenize(prompt, add_special_tokens=True)


def reference(model: TinyModel, messages: list[dict[str, Any]], **options: Any) -> list[int]:
    token_ids: list[int] = model.tokenizer.apply_chat_template(messages, return_dict=False, **options)
    return token_ids


@pytest.mark.parametrize("name", chat_templates.ALL)
def test_tokens_are_those_of_transformers_in_every_manner_of_ending(name: str, model: TinyModel) -> None:
    model.tokenizer.chat_template = chat_templates.ALL[name]
    for length in (1, 3, 4):
        asked, documented = TURNS[:length], TURNS_AS_DOCUMENTED[:length]
        assert tokens(model, ChatPrompt(messages=asked)) == reference(model, documented, add_generation_prompt=True)
        without = ChatPrompt(messages=asked, add_generation_prompt=False)
        assert tokens(model, without) == reference(model, documented)
    for length in (2, 4):
        going_on = ChatPrompt(messages=TURNS[:length], continue_last=True)
        expected = reference(model, TURNS_AS_DOCUMENTED[:length], continue_final_message=True)
        assert tokens(model, going_on) == expected


@pytest.mark.parametrize("name", ["tools", "marked"])
def test_calls_of_tools_reach_the_template_as_transformers_documents_them(name: str, model: TinyModel) -> None:
    model.tokenizer.chat_template = chat_templates.ALL[name]
    expected = reference(model, CALLS_AS_DOCUMENTED, add_generation_prompt=True)
    assert tokens(model, ChatPrompt(messages=CALLS)) == expected
    if name == "tools":
        text = model.tokenizer.decode(expected)
        assert '<call function call_1>weather(city="Lyon";days=2;sure=null;)</call>' in text
        assert '<call function call_2>weather({"city": "Ro)</call>' in text


@pytest.mark.parametrize(
    ("reasoning", "switches"),
    [
        (Reasoning(), {}),
        (Reasoning(is_on=False), {"enable_thinking": False, "thinking": False}),
        (Reasoning(is_on=True), {"enable_thinking": True, "thinking": True}),
        (Reasoning(effort="high"), {"reasoning_effort": "high"}),
    ],
)
def test_thinking_is_switched_by_the_names_that_templates_have_for_it(
    reasoning: Reasoning, switches: dict[str, Any], model: TinyModel
) -> None:
    model.tokenizer.chat_template = chat_templates.SWITCHED
    expected = reference(model, TURNS_AS_DOCUMENTED, add_generation_prompt=True, **switches)
    assert tokens(model, ChatPrompt(messages=TURNS, reasoning=reasoning)) == expected


def test_a_template_without_a_switch_makes_the_same_of_every_wish(model: TinyModel) -> None:
    model.tokenizer.chat_template = chat_templates.CHATML
    wishes = [Reasoning(), Reasoning(is_on=False), Reasoning(is_on=True, effort="high")]
    assert len({tuple(tokens(model, ChatPrompt(messages=TURNS, reasoning=wish))) for wish in wishes}) == 1
    model.tokenizer.chat_template = chat_templates.SWITCHED
    assert len({tuple(tokens(model, ChatPrompt(messages=TURNS, reasoning=wish))) for wish in wishes}) == 3


def test_keys_without_a_value_are_left_out() -> None:
    assert conversation(TURNS) == TURNS_AS_DOCUMENTED


def test_the_default_of_several_templates_is_taken(model: TinyModel) -> None:
    model.tokenizer.chat_template = {"tool_use": "no", "default": chat_templates.CHATML}
    facts = InputProcessor(model.tokenizer, model.limits, render).tokenizer_facts()
    assert facts.chat_template == chat_templates.CHATML
    assert tokens(model, ChatPrompt(messages=TURNS)) == reference(
        model, TURNS_AS_DOCUMENTED, add_generation_prompt=True
    )


@pytest.mark.parametrize(
    ("template", "messages", "reason"),
    [
        (
            chat_templates.NO_SYSTEM,
            [ChatMessage(role="system", content="x")],
            "refuses .*: there is no system role here",
        ),
        (chat_templates.NO_SYSTEM, TURNS[1:], "refuses .*: user and assistant take turns"),
        ("{{ raise_exception('no ' * 1000) }}", TURNS, "refuses"),
        ("{{ messages[0].mood.colour }}", TURNS, "refuses .* has no attribute 'mood'"),
        ("{% for %}", TURNS, "refuses"),
        ("{{ messages[0].content + 1 }}", TURNS, r"is at fault: .* \(TypeError\)"),
        ("{{ messages | list | first | length // 0 }}", TURNS, r"is at fault: .* \(ZeroDivisionError\)"),
        ("", TURNS, "it makes nothing of this conversation"),
        ("{{ 'x' * 300000 }}", TURNS, "it makes 300000 characters of a conversation of"),
        ("{{ messages.append(1) }}", TURNS, "refuses .* unsafe"),
    ],
)
def test_a_template_that_refuses_or_fails_is_named_and_the_conversation_is_not_repeated(
    template: str, messages: list[ChatMessage], reason: str, model: TinyModel
) -> None:
    model.tokenizer.chat_template = template
    with pytest.raises(InvalidRequestError, match=f"chat template.* {reason}") as caught:
        tokens(model, ChatPrompt(messages=messages))
    assert caught.value.param == "messages"
    assert len(caught.value.message) < 400


@pytest.mark.parametrize("template", ["{{ messages[0].content }}", "nothing of it", "{{ messages[-1].content[:3] }}"])
def test_a_template_that_loses_the_last_message_cannot_continue_it(template: str, model: TinyModel) -> None:
    model.tokenizer.chat_template = template
    with pytest.raises(InvalidRequestError, match="leave continue_final_message out") as caught:
        tokens(model, ChatPrompt(messages=TURNS, continue_last=True))
    assert "Lyon" not in caught.value.message


def call(template: str, *messages: ChatMessage) -> TemplateCall:
    return TemplateCall(
        template=template,
        special_tokens={"bos_token": "<s>"},
        messages=list(messages),
        add_generation_prompt=False,
        continue_last=False,
    )


def test_a_template_may_write_as_much_as_the_conversation_allows_and_no_more() -> None:
    message = ChatMessage(role="user", content="x" * 10_000)
    limit = MAX_OWN_CHARS + MAX_GROWTH * 10_000
    assert len(render(call(f"{{{{ 'x' * {limit} }}}}", message)).text) == limit
    with pytest.raises(InvalidRequestError, match=f"makes {limit + 1} characters of a conversation of 10000"):
        render(call(f"{{{{ 'x' * {limit + 1} }}}}", message))


def test_computing_is_counted_and_special_tokens_are_written_out() -> None:
    rendered = render(call("{{ bos_token }}{% for i in range(5000) %}{% endfor %}", TURNS[0]))
    assert rendered.text == "<s>"
    assert rendered.cpu_s > 0
