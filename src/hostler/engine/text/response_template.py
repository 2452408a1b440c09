"""Reads answers by the response template that a tokenizer brings with it, with transformers' own parser."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from transformers.utils.chat_parsing import ResponseParser

from hostler.engine.text.call_syntax import CallSyntax
from hostler.engine.text.parsed import Parsed
from hostler.tools import ToolCallDelta

QWEN_XML: dict[str, Any] = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<|im_start|>assistant\n",
    "fields": {
        "reasoning_content": {"open": "<think>", "close": "</think>", "content": "text"},
        "tool_calls": {
            "open_pattern": r"<tool_call>\s*<function=(?P<name>[\w.-]+)>",
            "close_pattern": r"</function>\s*</tool_call>",
            "repeats": True,
            "content": "xml-inline",
            "content_args": {"tag_pattern": r"<parameter=(?P<key>[^>]+)>\s*(?P<value>.*?)\s*</parameter>"},
            "transform": {"type": "function", "function": {"name": "{name}", "arguments": "{content}"}},
        },
        "content": {"content": "text"},
    },
}
"""Of Qwen's models since Qwen3-Coder, whose tokenizers bring none."""


def known_template(chat_template: str) -> dict[str, Any] | None:
    """The response template of the family that writes such a chat template, where it calls in more than JSON."""
    return QWEN_XML if "<function=" in chat_template and "<parameter=" in chat_template else None


_REASONING = frozenset({"reasoning_content", "reasoning", "thinking"})
"""Fields of response templates; repositories differ."""


class ResponseTemplateParser:
    """An `AnswerParser`. Calls are told when they are whole, since only then they are read."""

    def __init__(
        self,
        template: Mapping[str, Any],
        prompt_text: str,
        tools: Sequence[Mapping[str, Any]],
        *,
        is_parallel: bool = True,
    ) -> None:
        """`prompt_text`: special tokens included; some templates begin an answer there. `tools`: without any, what
        looks like a call is text."""
        self._parser = ResponseParser(dict(template), prefix=prompt_text, tools=list(tools))
        self._syntax = CallSyntax()
        self._has_tools = bool(tools)
        self._is_parallel = is_parallel
        self._is_over = False
        self._is_broken = False
        self._num_calls = 0
        self._held = ""
        """White space that is text if more follows it."""
        self._thought = ""
        """The same of its reasoning."""
        self._has_thought = False
        self._is_blank = False
        """Reasoning has just ended, and nothing was said yet."""
        self._called = ""
        """What the model has written of a call."""

    @property
    def is_over(self) -> bool:
        return self._is_over

    def add(self, piece: str) -> Parsed:
        if self._is_broken:
            return Parsed(text=piece)
        try:
            return self._read(self._parser.feed(piece))
        except ValueError:
            return self._give_up()

    def flush(self) -> Parsed:
        if self._is_broken:
            return Parsed()
        try:
            return self._read(self._parser.finalize()[1])
        except ValueError:
            return self._give_up()

    def _give_up(self) -> Parsed:
        """What was to be a call is none: it is text, and so is all that follows."""
        self._is_broken = True
        return Parsed(text=self._held + self._called)

    def _read(self, events: Sequence[Mapping[str, Any]]) -> Parsed:
        new = Parsed()
        for event in events:
            match event["type"], event["field"]:
                case "region_chunk", "content":
                    self._say(new, event["text"])
                case "region_chunk", "tool_calls":
                    self._called += event["text"]
                case "region_chunk", field if field in _REASONING:
                    self._think(new, event["text"])
                case "region_close", field if field in _REASONING:
                    self._thought, self._is_blank = "", True
                case "region_close", "tool_calls" if not self._has_tools:
                    self._say(new, self._called)
                    self._called = ""
                case "region_close", "tool_calls":
                    self._called = ""
                    calls = event["value"]
                    for call in calls if isinstance(calls, list) else [calls]:
                        self._call(new, call)
        return new

    def _think(self, new: Parsed, text: str) -> None:
        """White space around what is thought belongs to nothing."""
        text = self._thought + text
        if not self._has_thought:
            text = text.lstrip()
        certain = text.rstrip()
        self._thought = text[len(certain) :]
        self._has_thought = self._has_thought or bool(certain)
        new.reasoning += certain

    def _say(self, new: Parsed, text: str) -> None:
        text = self._held + text
        if self._is_blank:
            text = text.lstrip()
            self._is_blank = not text
        certain = text.rstrip()
        self._held = text[len(certain) :]
        new.text += certain

    def _call(self, new: Parsed, call: Mapping[str, Any]) -> None:
        function = call.get("function", call)
        name, arguments = function.get("name"), function.get("arguments") or {}
        if self._is_over or not isinstance(name, str):
            return
        written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        new.tool_calls.append(ToolCallDelta(index=self._num_calls, id=self._syntax.new_id(), name=name))
        new.tool_calls.append(ToolCallDelta(index=self._num_calls, arguments=written))
        self._num_calls += 1
        self._held = ""
        self._is_over = not self._is_parallel
