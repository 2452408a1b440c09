"""What an answer under a grammar may think before it follows it."""

import json
import re
from collections.abc import Callable

from hostler.engine.constraints.tool_calls import Grammar, written_mark
from hostler.engine.text.reasoning import Thinking

_SPACE = r"/\s{0,8}/"
"""After it."""


def after_thought(answer: list[Grammar], thinking: Thinking, token_id_of: Callable[[str], int | None]) -> list[Grammar]:
    """An answer, of whose grammars the first is that of all of it, and before it what it thinks: anything, to the mark
    with which that ends.

    `token_id_of`: the special token of a mark; `None`: it is text.
    """
    marks = thinking.marks
    opener = written_mark(marks.opener, token_id_of(marks.opener))
    thought = f"thought {_SPACE}" if thinking.has_begun else f"({opener} thought {_SPACE})?"
    lark = f"start: {thought} @after_thought\n{_thought(marks.closer, token_id_of(marks.closer))}"
    return [{"lark_grammar": lark}, {**answer[0], "name": "after_thought"}, *answer[1:]]


def _thought(closer: str, closer_id: int | None) -> str:
    if closer_id is None:
        return f"thought[suffix={json.dumps(closer)}]: /(?s:.*)/"
    # What is special is no text, so that a text ends there. As text it would end the thought for who reads it.
    spelled = re.escape(closer).replace("/", r"\/")
    return rf"""thought: THOUGHT {written_mark(closer, closer_id)}
THOUGHT: /(?s:.*)/ & ~/(?s:.*){spelled}(?s:.*)/"""
