import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostler.engine.text import call_parser
from hostler.engine.text.call_parser import CallParser
from hostler.engine.text.call_syntax import HERMES, JSON, LLAMA, MISTRAL, MISTRAL_NAMED, CallSyntax
from hostler.engine.text.json_span import JsonSpan
from tests.engine.answers import Read, cut, read

NAMES = frozenset({"weather", "clock"})
OSLO = ("weather", '{"city": "Oslo"}')
TIME = ("clock", "{}")
BOTH = [OSLO, TIME]
SYNTAXES = {"hermes": HERMES, "json": JSON, "llama": LLAMA, "mistral": MISTRAL, "mistral_named": MISTRAL_NAMED}

ANSWERS: list[tuple[CallSyntax, str, Read]] = [
    (
        HERMES,
        'Let me see.\n<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call>\n'
        '<tool_call>\n{"name": "clock", "arguments": {}}\n</tool_call>\n',
        Read("Let me see.", calls=BOTH),
    ),
    (HERMES, '<tool_call>{"name": "clock"}</tool_call>\nSo it is.', Read("\nSo it is.", calls=[TIME])),
    (HERMES, '<tool_call>{"arguments": {"city": "Oslo"}, "name": "weather"}</tool_call>', Read(calls=[OSLO])),
    (HERMES, '<tool_call>{"name": "clock", "arguments": {}}', Read(calls=[TIME])),
    (
        HERMES,
        '<tool_call>\n{"name": "weather", "arguments": {"city": "}\\"{</tool_call>"}, "id": 3}\n</tool_call>',
        Read(calls=[("weather", '{"city": "}\\"{</tool_call>"}')]),
    ),
    (HERMES, '<tool_call>{"name": "nobody", "arguments": {}}</tool_call>', Read(calls=[("nobody", "{}")])),
    (
        LLAMA,
        '{"name": "weather", "parameters": {"city": "Oslo"}}; {"name": "clock", "parameters": {}}',
        Read(calls=BOTH),
    ),
    (
        LLAMA,
        '<|python_tag|>{"type": "function", "name": "weather", "parameters": {"city": "Oslo"}}',
        Read(calls=[OSLO]),
    ),
    (
        HERMES,
        '<tool_call>{"name": "weather", "arguments": {city}}</tool_call',
        Read(calls=[("weather", "{city}")]),
    ),
    (LLAMA, '<|python_tag|>print("hi")', Read('<|python_tag|>print("hi")')),
    (
        MISTRAL,
        '[TOOL_CALLS] [{"name": "weather", "arguments": {"city": "Oslo"}}, {"name": "clock", "arguments": {}}]',
        Read(calls=BOTH),
    ),
    (MISTRAL, 'See: [TOOL_CALLS][{"arguments": {"city": "Oslo"}, "name": "weather"}] ', Read("See:", calls=[OSLO])),
    (MISTRAL_NAMED, '[TOOL_CALLS]weather[ARGS]{"city": "Oslo"}[TOOL_CALLS]clock[ARGS]{}', Read(calls=BOTH)),
    (MISTRAL_NAMED, '[TOOL_CALLS]weather[CALL_ID]abc123def[ARGS]{"city": "Oslo"}', Read(calls=[OSLO])),
    (MISTRAL_NAMED, "[TOOL_CALLS]weather", Read("[TOOL_CALLS]weather")),
    (JSON, '{"name": "weather", "arguments": {"city": "Oslo"}}\n{"name": "clock", "arguments": {}}', Read(calls=BOTH)),
    (JSON, '[{"name": "weather", "arguments": {"city": "Oslo"}}, {"name": "clock"}]', Read(calls=BOTH)),
    (JSON, 'I look.\n\n {"name": "clock", "arguments": null}\n', Read("I look.", calls=[TIME])),
    (JSON, '{"function": {"name": "weather", "arguments": "{\\"city\\": \\"Oslo\\"}"}}', Read(calls=[OSLO])),
]
TEXTS: list[tuple[CallSyntax, str]] = [
    (HERMES, " Nothing to call. \n"),
    (HERMES, "a < b <tool_ <tool_call> is how I call\n"),
    (HERMES, '<tool_call>{"city": "Oslo"}</tool_call>'),
    (HERMES, '<tool_call>\n{"name": "wea'),
    (HERMES, '{"name": "clock", "arguments": {}}'),
    (JSON, '{"name": "nobody", "arguments": {}}'),
    (JSON, 'Say {"name": "clock", "arguments": {}}'),
    (JSON, '{"weather": "fine", "in": ["Oslo"]}\n[1, 2]\n{'),
    (JSON, '[{"name": "nobody"}]'),
    (JSON, '{"name": ["clock"]}'),
    (JSON, '{"name": "clock", "arguments": [1]}'),
    (MISTRAL, "[TOOL_CALLS] none"),
    (MISTRAL_NAMED, "[TOOL_CALLS][ARGS]{}"),
]


def parser(syntax: CallSyntax, *, is_parallel: bool = True) -> CallParser:
    return CallParser(syntax, NAMES, is_parallel=is_parallel)


@pytest.mark.parametrize(("syntax", "answer", "expected"), ANSWERS)
def test_calls_are_read_in_the_form_of_the_family(syntax: CallSyntax, answer: str, expected: Read) -> None:
    assert read(parser(syntax), [answer]) == expected
    assert read(parser(syntax), answer) == expected


@pytest.mark.parametrize(("syntax", "text"), TEXTS)
def test_what_begins_like_a_call_and_is_none_is_text(syntax: CallSyntax, text: str) -> None:
    assert read(parser(syntax), [text]) == read(parser(syntax), text) == Read(text)


@given(st.data())
def test_however_an_answer_is_cut_it_is_the_same(data: st.DataObject) -> None:
    pieces = ["<tool_call>", "</tool_call>", "<|python_tag|>", "[TOOL_CALLS]", "[ARGS]", "weather", *'{}[]":,; \n<x\\']
    pieces += ['{"name": "weather", "arguments": ', '{"city": "Os"}', '"parameters"', '{"name": "clock"}', "```json"]
    noise = st.lists(st.sampled_from(pieces), max_size=12).map("".join)
    syntax = data.draw(st.sampled_from([*SYNTAXES.values()]))
    answer = data.draw(st.one_of(noise, st.sampled_from([answer for _, answer, _ in ANSWERS])))
    answer = data.draw(noise) + answer
    whole = read(parser(syntax), [answer])

    assert read(parser(syntax), data.draw(cut(answer))) == whole
    if not whole.calls:
        assert whole.text == answer


@given(st.sampled_from([*SYNTAXES.values()]), st.dictionaries(st.text(), st.text() | st.none() | st.lists(st.text())))
def test_whatever_json_arguments_are_they_are_told_as_they_were_written(
    syntax: CallSyntax, arguments: dict[str, object]
) -> None:
    written = json.dumps(arguments, ensure_ascii=False)
    call = f'{{"name": "weather", "{syntax.arguments_key}": {written}}}'
    if syntax.name_end:
        call = f"weather{syntax.name_end}{written}"
    answer = f"{syntax.opener}{f'[{call}]' if syntax.is_list else call}{syntax.closer}"

    assert read(parser(syntax), answer) == Read(calls=[("weather", written)])


def test_arguments_are_told_while_they_are_written() -> None:
    calls = parser(HERMES)

    assert calls.add('<tool_call>{"name": "weather", "argu').tool_calls == []
    first, second = calls.add('ments": {"city').tool_calls
    assert (first.name, second.arguments) == ("weather", '{"city')
    assert [delta.arguments for delta in calls.add('": "Os').tool_calls] == ['": "Os']


def test_where_one_call_is_wanted_the_answer_ends_with_it() -> None:
    answer = '<tool_call>{"name": "weather", "arguments": {"city": "Oslo"}}</tool_call><tool_call>{"name": "clock"}'
    calls = parser(HERMES, is_parallel=False)

    assert read(calls, answer) == Read(calls=[OSLO])
    assert calls.is_over


def test_a_call_that_is_cut_off_is_told_as_far_as_it_came() -> None:
    assert read(parser(HERMES), '<tool_call>{"name": "weather", "arguments": {"city": "O') == (
        Read(calls=[("weather", '{"city": "O')])
    )


@pytest.mark.parametrize("name", SYNTAXES)
def test_every_call_has_an_id_of_its_own_of_the_length_that_templates_want(name: str) -> None:
    syntax = SYNTAXES[name]
    ids = {syntax.new_id() for _ in range(100)}

    assert len(ids) == 100
    form = "[a-zA-Z0-9]{9}" if "mistral" in name else "call_[0-9a-f]{24}"
    assert all(re.fullmatch(form, call_id) for call_id in ids)


@pytest.mark.parametrize(
    "answer", ['{"name": "clock"}%sx', "[TOOL_CALLS]clock%sx", '{"name"%sx', "<tool_call>%sx", "%s["]
)
@pytest.mark.parametrize("name", SYNTAXES)
def test_white_space_without_end_costs_nothing(name: str, answer: str) -> None:
    text = answer % (" \n" * 20_000)
    began = time.process_time()

    assert read(parser(SYNTAXES[name]), [text[:-1], text[-1]]).text.endswith(text[-1])
    assert time.process_time() - began < 0.5


def test_text_is_not_held_back_for_long() -> None:
    calls = parser(JSON)

    assert calls.add("So it").text == "So it"
    assert calls.add(" is.\n").text == " is."
    assert calls.add('{"sky": ').text == '\n{"sky":'


@pytest.mark.parametrize(("opening", "closing"), [('{"name": 1, "x":\n', "}"), ('[\n{"name": 1, "x":\n', "}]")])
def test_objects_within_objects_are_not_looked_through_each_by_itself(
    opening: str, closing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else is served in the meantime."""
    num_chars = 0

    class Counted(JsonSpan):
        def feed(self, text: str) -> int | None:
            nonlocal num_chars
            num_chars += len(text)
            return super().feed(text)

    monkeypatch.setattr(call_parser, "JsonSpan", Counted)
    nested = opening * 400 + "1" + closing * 400
    call = '\n{"name": "clock", "arguments": {}}'

    assert read(CallParser(LLAMA, NAMES), [nested + call]) == Read(nested, calls=[TIME])
    assert num_chars < 2 * call_parser.MAX_SEARCHED * len(nested)
