"""A random model that thinks before it answers as a grammar has it, or calls what it has to call."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch

from hostler.tools import Tool, ToolUse
from hostler.types import ChatMessage, ChatPrompt, Constraint, ConstraintKind, FinishReason, SamplingParams
from tests.engine import chat_templates
from tests.engine.harness import TinyEngine, TinyModel
from tests.engine.test_tool_generation import POINT, joined
from tests.tiny_models import build_tiny_model

CLOSED = chat_templates.CHATML.replace("assistant\n", "assistant\n<think>\n\n</think>\n\n")
FREE = "{# <think> </think> #}" + chat_templates.CHATML
BEGUN = chat_templates.REASONING
SPECIAL = chat_templates.HERMES
FORMAT = Constraint(kind=ConstraintKind.JSON_SCHEMA, text=json.dumps(POINT), param="response_format")
TOOLS = ToolUse(tools=[Tool(name="point", parameters=POINT)], is_required=True, is_parallel=False)
NAMED = ToolUse(tools=[*TOOLS.tools, Tool(name="clock")], is_required=True, name="point", is_parallel=False)


class Thinker:
    """A tiny model that has a token for each of its marks."""

    def __init__(self, folder: Path, opener: str, closer: str, *, is_special: bool) -> None:
        """`is_special`: as Mistral's are; Qwen's are text."""
        self._tiny = TinyModel(build_tiny_model("llama_chat", folder))
        self.opener, self.closer = opener, closer
        if is_special:
            self._tiny.tokenizer.add_special_tokens({"additional_special_tokens": [opener, closer]})
        else:
            self._tiny.tokenizer.add_tokens([opener, closer])
        torch.manual_seed(0)
        self._tiny.model.resize_token_embeddings(len(self._tiny.tokenizer))

    def engine(self, template: str) -> TinyEngine:
        self._tiny.tokenizer.chat_template = template
        self._tiny.__dict__.pop("limits", None)
        self._tiny.limits = replace(self._tiny.limits, max_model_len=2048)
        return TinyEngine(self._tiny)

    def bias(self, opener: float = 0, closer: float = 0) -> dict[int, float]:
        """A `logit_bias` of its marks."""
        ids = self._tiny.tokenizer.convert_tokens_to_ids([self.opener, self.closer])
        return dict(zip(ids, (opener, closer), strict=True))


@pytest.fixture(scope="module")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> Thinker:
    return Thinker(tmp_path_factory.mktemp("thinking") / "tiny", "<think>", "</think>", is_special=False)


@pytest.fixture(scope="module")
def special_thinker(tmp_path_factory: pytest.TempPathFactory) -> Thinker:
    return Thinker(tmp_path_factory.mktemp("thinking") / "tiny", "[THINK]", "[/THINK]", is_special=True)


def chat(tool_use: ToolUse | None = None, **more: Any) -> ChatPrompt:
    messages = more.pop("messages", [ChatMessage(role="user", content="Hi")])
    return ChatPrompt(messages=messages, tool_use=tool_use, splits_reasoning=True, **more)


def asked(tool_use: ToolUse | None, **more: Any) -> SamplingParams:
    """A format, where no call is asked for."""
    return SamplingParams(constraint=FORMAT if tool_use is None else None, max_tokens=250, seed=3, **more)


@pytest.mark.parametrize("tool_use", [None, TOOLS, NAMED], ids=["format", "required", "named"])
@pytest.mark.parametrize("form", ["begun", "free", "special"])
def test_a_model_thinks_first_and_then_keeps_to_what_was_asked_for(
    form: str, tool_use: ToolUse | None, request: pytest.FixtureRequest
) -> None:
    thinker: Thinker = request.getfixturevalue("special_thinker" if form == "special" else "thinker")
    engine = thinker.engine({"begun": BEGUN, "free": FREE, "special": SPECIAL}[form])
    bias = thinker.bias(closer=8) if form == "begun" else thinker.bias(opener=6, closer=8)
    engine.add(0, chat(tool_use), asked(tool_use, n=3, logit_bias=bias))
    engine.run()

    assert engine.failures == {}
    answers = [joined(engine.sequences[0, index].deltas) for index in range(3)]
    assert any(answer.reasoning for answer in answers)
    for index, answer in enumerate(answers):
        sequence = engine.sequences[0, index]
        assert sequence.finish_reason is FinishReason.STOP
        assert thinker.closer not in answer.reasoning
        content = answer.text if tool_use is None else answer.calls[0][1]
        jsonschema.validate(json.loads(content), POINT)
        assert (answer.text == "") == (tool_use is not None)
        # What is thought is told as it comes, and before the answer.
        told = [bool(delta.reasoning) for delta in sequence.deltas if delta.reasoning or delta.text or delta.tool_calls]
        assert told == sorted(told, reverse=True)


@pytest.mark.parametrize("tool_use", [None, TOOLS], ids=["format", "required"])
def test_where_the_template_has_switched_it_off_nothing_is_thought(tool_use: ToolUse | None, thinker: Thinker) -> None:
    engine = thinker.engine(CLOSED)
    engine.add(0, chat(tool_use), asked(tool_use, logit_bias=thinker.bias(opener=100)))
    engine.run()

    answer = joined(engine.sequences[0, 0].deltas)
    assert answer.reasoning == ""
    jsonschema.validate(json.loads(answer.calls[0][1] if tool_use else answer.text), POINT)


def test_an_answer_that_has_begun_already_is_not_thought_about(thinker: Thinker) -> None:
    engine = thinker.engine(FREE)
    messages = [ChatMessage(role="user", content="Hi"), ChatMessage(role="assistant", content="It is")]
    engine.add(0, chat(messages=messages, continue_last=True), asked(None, logit_bias=thinker.bias(opener=100)))
    engine.run()

    answer = joined(engine.sequences[0, 0].deltas)
    assert answer.reasoning == ""
    jsonschema.validate(json.loads(answer.text), POINT)


def test_a_model_that_may_think_need_not(thinker: Thinker) -> None:
    engine = thinker.engine(FREE)
    engine.add(0, chat(), asked(None, logit_bias=thinker.bias(opener=-100)))
    engine.run()

    answer = joined(engine.sequences[0, 0].deltas)
    assert answer.reasoning == ""
    jsonschema.validate(json.loads(answer.text), POINT)


@pytest.mark.parametrize("tool_use", [None, TOOLS], ids=["format", "required"])
def test_tokens_that_are_used_up_by_thinking_leave_no_answer(tool_use: ToolUse | None, thinker: Thinker) -> None:
    engine = thinker.engine(BEGUN)
    engine.add(0, chat(tool_use), SamplingParams(constraint=None if tool_use else FORMAT, max_tokens=12, seed=1))
    engine.run()

    sequence = engine.sequences[0, 0]
    answer = joined(sequence.deltas)
    assert sequence.finish_reason is FinishReason.LENGTH
    assert answer.reasoning
    assert (answer.text, answer.calls) == ("", [])


def test_where_reasoning_is_not_told_apart_the_whole_text_keeps_to_the_grammar(thinker: Thinker) -> None:
    engine = thinker.engine(BEGUN)
    prompt = ChatPrompt(messages=[ChatMessage(role="user", content="Hi")])
    engine.add(0, prompt, asked(None))
    engine.run()

    jsonschema.validate(json.loads(engine.sequences[0, 0].text), POINT)
