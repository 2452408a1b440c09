"""Answers read by a tokenizer's response template, beside transformers' own reading of the whole."""

import json
from typing import Any

import pytest
from hypothesis import given
from transformers.utils.chat_parsing import parse_response

from hostler.engine.text.chat_template import described
from hostler.engine.text.response_template import ResponseTemplateParser
from hostler.tools import Tool
from tests.engine.answers import Read, cut, read

TEMPLATE: dict[str, Any] = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<turn>model\n",
    "fields": {
        "reasoning_content": {"open": "<thought>", "close": "</thought>", "content": "text"},
        "tool_calls": {
            "open_pattern": r"<call>(?P<name>\w+)",
            "close": "</call>",
            "repeats": True,
            "content": "json",
            "transform": {"type": "function", "function": {"name": "{name}", "arguments": "{content}"}},
        },
        "content": {"close": "<end>", "content": "text"},
    },
}
PROMPT = "<turn>user\nHi<turn>model\n"
TOOLS = described([Tool(name="weather", parameters={"type": "object", "properties": {"city": {"type": "string"}}})])
ANSWER = '<thought>Hm.</thought>Let me see.\n<call>weather{"city": "Oslo"}</call><call>weather{"city": "Rome"}</call>'


def parser(prompt: str = PROMPT, *, is_parallel: bool = True) -> ResponseTemplateParser:
    return ResponseTemplateParser(TEMPLATE, prompt, TOOLS, is_parallel=is_parallel)


@given(cut(ANSWER))
def test_an_answer_is_what_transformers_makes_of_it(pieces: list[str]) -> None:
    message = parse_response(ANSWER, TEMPLATE, prefix=PROMPT, tools=TOOLS)

    told = read(parser(), pieces)
    assert (told.text, told.reasoning) == (message["content"].strip(), message["reasoning_content"])
    assert [{"name": name, "arguments": json.loads(arguments)} for name, arguments in told.calls] == (
        [call["function"] for call in message["tool_calls"]]
    )


def test_reasoning_may_have_begun_in_the_prompt() -> None:
    assert read(parser(f"{PROMPT}<thought>"), "Hm.</thought>Yes.") == Read("Yes.", "Hm.")


def test_where_one_call_is_wanted_the_answer_ends_with_it() -> None:
    assert read(parser(is_parallel=False), ANSWER).calls == [("weather", '{"city": "Oslo"}')]


@pytest.mark.parametrize("answer", ["Yes. <call>weather{city}</call> So", "Yes. <call>weather{"])
def test_a_broken_call_is_text(answer: str) -> None:
    told = read(parser(), answer)

    assert told.calls == []
    assert told.text.startswith("Yes. ")
    assert "{" in told.text


def test_without_tools_what_looks_like_a_call_is_text() -> None:
    told = read(ResponseTemplateParser(TEMPLATE, PROMPT, []), ANSWER)

    assert told.calls == []
    assert '{"city": "Oslo"}' in told.text
