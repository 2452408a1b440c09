"""What an answer that is to be calls of tools must be, in the words of the model's own format."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from hostler.engine.text.call_syntax import CallSyntax
from hostler.tools import Tool, ToolUse

MAX_CALLS = 8
"""Of one answer that has to be calls. A small model knows no end of them."""

_SAYS_NOTHING = frozenset({"type", "title", "description", "$schema", "$id", "$comment", "$defs", "definitions"})
"""Keywords of an object that do not say what it has."""

Grammar = dict[str, Any]


def calls_grammars(
    tool_use: ToolUse, syntax: CallSyntax, token_id_of: Callable[[str], int | None], of_schema: Callable[[Any], Grammar]
) -> list[Grammar]:
    """`grammars` as llguidance reads them, of which the first is that of the whole text.

    `token_id_of`: the special token of a mark; `None`: it is text. `of_schema`: a grammar of JSON, closed.

    Raises:
        ValueError: a schema is none, or has no end.
    """
    tools = [tool for tool in tool_use.tools if tool_use.name in (None, tool.name)]
    rules = dict(_rules(tools, syntax, lambda mark: written_mark(mark, token_id_of(mark))))
    most = MAX_CALLS - 1 if tool_use.is_parallel else 0
    calls = f"call ({json.dumps(syntax.separator)} call){{0,{most}}}" if syntax.separator else f"call{{1,{most + 1}}}"
    start = calls if most else "call"
    if syntax.is_list:
        start = f'{written_mark(syntax.opener, token_id_of(syntax.opener))} "[" {start} "]"'
    lark = "\n".join(f"{name}: {rule}" for name, rule in {"start": start, **rules}.items())
    return [
        {"lark_grammar": lark},
        *({**of_schema(_schema(tool)), "name": f"arguments_{i}"} for i, tool in enumerate(tools)),
    ]


def either(text: list[Grammar], calls: list[Grammar]) -> list[Grammar]:
    """What is one or the other; the first of each list is the whole of it."""
    return [
        {"lark_grammar": "start: @answer | @calls"},
        {**text[0], "name": "answer"},
        {**calls[0], "name": "calls"},
        *text[1:],
        *calls[1:],
    ]


def _rules(tools: list[Tool], syntax: CallSyntax, mark: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    yield "call", _call(syntax, mark)
    yield "function", " | ".join(f"function_{i}" for i in range(len(tools)))
    for i, tool in enumerate(tools):
        if syntax.name_end:
            yield f"function_{i}", f"{json.dumps(tool.name)} {mark(syntax.name_end)} @arguments_{i}"
        else:
            head = json.dumps(f'{{"name": {json.dumps(tool.name)}, "{syntax.arguments_key}": ')
            yield f"function_{i}", f'{head} @arguments_{i} "}}"'


def _call(syntax: CallSyntax, mark: Callable[[str], str]) -> str:
    if syntax.closer:
        return f'{mark(syntax.opener)} "\\n" function "\\n" {mark(syntax.closer)}'
    return f"{mark(syntax.opener)} function" if syntax.name_end else "function"


def written_mark(mark: str, token_id: int | None) -> str:
    """A mark in a grammar in Lark's form. `token_id`: of the special token that it is; `None`: it is text."""
    return json.dumps(mark) if token_id is None else f"<[{token_id}]>"


def _schema(tool: Tool) -> Grammar:
    """Of its arguments. One that says nothing of them is one without any."""
    schema = {"type": "object", **tool.parameters}
    if schema.keys() <= _SAYS_NOTHING:
        schema["properties"] = {}
    return schema
