"""What a model is told of tools: by its template as transformers renders it, or in words."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hostler.engine.text.chat_template import render
from hostler.engine.text.input_processor import InputProcessor
from hostler.errors import InvalidRequestError
from hostler.tools import Tool, ToolCall, ToolUse
from hostler.types import ChatFormat, ChatMessage, ChatPrompt
from tests.engine import chat_templates
from tests.engine.harness import TinyModel

Tiny = Callable[[str], TinyModel]

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": 'A "city"'}},
    "required": ["city"],
}
TOOLS = [Tool(name="weather", description="Of <a> city.", parameters=WEATHER), Tool(name="clock")]
AS_DOCUMENTED: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": "weather", "description": "Of <a> city.", "parameters": WEATHER}},
    {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}},
]
HI = ChatMessage(role="user", content="Hi")
SYSTEM = ChatMessage(role="system", content="Be brief.")
CALLS = [
    HI,
    ChatMessage(
        role="assistant",
        content="Let me see.",
        tool_calls=[
            ToolCall(id="call_1", name="weather", arguments='{"city": "Oslo"}'),
            ToolCall(id="call_2", name="clock", arguments="{}"),
        ],
    ),
    ChatMessage(role="tool", content="sun", tool_call_id="call_1", name="weather"),
    ChatMessage(role="tool", content="noon", tool_call_id="call_2", name="clock"),
]


@pytest.fixture
def model(tiny: Tiny) -> Iterator[TinyModel]:
    """Its template may be changed."""
    model = tiny("llama_chat")
    own = model.tokenizer.chat_template
    yield model
    model.tokenizer.chat_template = own


def told(model: TinyModel, *messages: ChatMessage, chat_format: ChatFormat | None = None, **tool_use: Any) -> str:
    """The prompt as the model sees it."""
    limits = model.limits
    if chat_format is not None:
        limits = type(limits)(**{**vars(limits), "chat_format": chat_format})
    prompt = ChatPrompt(messages=list(messages), tool_use=ToolUse(tools=TOOLS, **tool_use))
    inputs = InputProcessor(model.tokenizer, limits, render)
    return inputs.detokenize(inputs.tokenize(prompt, add_special_tokens=True))


@pytest.mark.parametrize("template", chat_templates.OF_TOOLS)
@pytest.mark.parametrize("messages", [[HI], [SYSTEM, HI]])
def test_tools_are_rendered_as_transformers_does_it(
    template: str, messages: list[ChatMessage], model: TinyModel
) -> None:
    model.tokenizer.chat_template = chat_templates.OF_TOOLS[template]
    expected = model.tokenizer.apply_chat_template(
        [{"role": message.role, "content": message.content} for message in messages],
        tools=AS_DOCUMENTED,
        add_generation_prompt=True,
        return_dict=False,
    )

    assert told(model, *messages) == model.tokenizer.decode(expected)


def test_a_model_may_have_a_template_of_its_own_for_tools(model: TinyModel) -> None:
    model.tokenizer.chat_template = {"default": chat_templates.CHATML, "tool_use": chat_templates.HERMES}

    assert "Your functions" in told(model, HI)


@pytest.mark.parametrize("template", ["chatml", "marked"])
def test_a_template_that_knows_no_tools_has_them_in_a_system_message(template: str, model: TinyModel) -> None:
    model.tokenizer.chat_template = chat_templates.ALL[template]
    alone, with_system = told(model, HI), told(model, SYSTEM, HI)

    for tool in AS_DOCUMENTED:
        assert json.dumps(tool["function"]) in alone
    assert alone.startswith("<|im_start|>system\nYou can call these functions:")
    assert with_system == alone.replace("<|im_end|>", "\n\nBe brief.<|im_end|>", 1)


def test_a_template_without_system_messages_has_them_before_the_first_words(model: TinyModel) -> None:
    model.tokenizer.chat_template = chat_templates.NO_SYSTEM
    prompt = told(model, HI)

    assert "[user] You can call these functions:" in prompt
    assert prompt.endswith("\n\nHi [end]\n[model] ")


@pytest.mark.parametrize("chat_format", [ChatFormat.PLAIN, ChatFormat.HUMAN_ASSISTANT, ChatFormat.EOS_TURNS])
def test_a_model_without_template_has_them_in_front(chat_format: ChatFormat, model: TinyModel) -> None:
    prompt = told(model, HI, chat_format=chat_format)

    assert prompt.removeprefix("<s>").lstrip().startswith("You can call these functions:")
    assert '"name": "clock"' in prompt


@pytest.mark.parametrize("template", ["chatml", "no_system"])
def test_earlier_calls_are_words_where_the_template_does_not_know_them(template: str, model: TinyModel) -> None:
    model.tokenizer.chat_template = chat_templates.ALL[template]
    prompt = told(model, *CALLS)

    call = '{"name": "weather", "arguments": {"city": "Oslo"}}\n{"name": "clock", "arguments": {}}'
    assert f"Let me see.\n{call}" in prompt
    assert "weather gave: sun\nclock gave: noon" in prompt


@pytest.mark.parametrize(
    ("tool_use", "words"),
    [
        ({}, "Where no function helps, answer in plain words."),
        ({"is_required": True}, "Call what helps to answer now."),
        ({"is_required": True, "name": "clock", "is_parallel": False}, "Call clock now."),
        ({"is_parallel": False}, "with one line of JSON and nothing else"),
    ],
)
def test_what_is_asked_of_the_tools_is_told(tool_use: dict[str, Any], words: str, model: TinyModel) -> None:
    assert words in told(model, HI, **tool_use)


def test_a_template_is_asked_once_what_it_knows(model: TinyModel) -> None:
    rendered: list[bool] = []

    def counted(call: Any) -> Any:
        rendered.append(bool(call.tools))
        return render(call)

    model.tokenizer.chat_template = chat_templates.HERMES
    inputs = InputProcessor(model.tokenizer, model.limits, counted)
    for _ in range(3):
        inputs.tokenize(ChatPrompt(messages=[HI], tool_use=ToolUse(tools=TOOLS)), add_special_tokens=True)
    inputs.tokenize(ChatPrompt(messages=[HI]), add_special_tokens=True)

    assert rendered == [True] * 4 + [False]


def test_a_template_that_fails_on_tools_is_not_asked_again(model: TinyModel) -> None:
    model.tokenizer.chat_template = "{% if tools %}{{ raise_exception('no') }}{% endif %}" + chat_templates.CHATML

    assert "You can call these functions" in told(model, HI)
    with pytest.raises(InvalidRequestError, match="at least one message"):
        told(model)
