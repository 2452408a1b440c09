"""How much to think, in each of the three dialects."""

from typing import Any, get_args

import pytest
from openai.types.shared import ReasoningEffort
from pydantic import ValidationError

from hostler.protocol.anthropic import CountTokensRequest, MessagesRequest
from hostler.protocol.openai_chat import ChatCompletionRequest
from hostler.protocol.reasoning import Effort
from hostler.protocol.responses import ResponsesRequest
from hostler.types import Reasoning

HI = [{"role": "user", "content": "hi"}]
ENABLED = {"type": "enabled", "budget_tokens": 1024}


def chat(**fields: Any) -> Reasoning:
    return ChatCompletionRequest.model_validate({"model": "m", "messages": HI} | fields).prompt().reasoning


def responses(**fields: Any) -> Reasoning:
    return ResponsesRequest.model_validate({"model": "m", "input": "hi"} | fields).prompt().reasoning


def messages(**fields: Any) -> Reasoning:
    return MessagesRequest.model_validate({"model": "m", "messages": HI, "max_tokens": 9} | fields).prompt().reasoning


def strings_in(kind: Any) -> set[str]:
    """Of a type's literals."""
    return {kind} if isinstance(kind, str) else set().union(*map(strings_in, get_args(kind)))


def test_the_levels_are_those_of_openais_client() -> None:
    assert strings_in(ReasoningEffort) == strings_in(Effort)


def test_who_says_nothing_gets_what_the_template_has() -> None:
    assert chat() == chat(reasoning_effort=None) == Reasoning()
    assert responses() == responses(reasoning=None) == responses(reasoning={"summary": "auto"}) == Reasoning()
    assert messages() == messages(thinking=None, output_config={}) == Reasoning()


@pytest.mark.parametrize(
    ("effort", "level"),
    [
        ("minimal", "low"),
        ("low", "low"),
        ("medium", "medium"),
        ("high", "high"),
        ("xhigh", "high"),
        ("max", "high"),
    ],
)
def test_an_effort_is_the_nearest_level_that_templates_know(effort: str, level: Any) -> None:
    expected = Reasoning(is_on=True, effort=level)
    assert chat(reasoning_effort=effort) == expected
    assert responses(reasoning={"effort": effort}) == expected
    if effort != "minimal":
        assert messages(thinking=ENABLED, output_config={"effort": effort}) == expected


def test_thinking_is_switched_off_in_every_dialect() -> None:
    off = Reasoning(is_on=False)
    assert chat(reasoning_effort="none") == responses(reasoning={"effort": "none"}) == off
    assert messages(thinking={"type": "disabled"}) == off
    assert messages(thinking={"type": "disabled"}, output_config={"effort": "high"}) == off


@pytest.mark.parametrize("kind", ["enabled", "adaptive", "between_tools"])
def test_anthropics_thinking_is_switched_on_without_an_effort(kind: str) -> None:
    assert messages(thinking={"type": kind}) == Reasoning(is_on=True)


def test_anthropics_effort_alone_leaves_the_switch_as_it_is() -> None:
    assert messages(output_config={"effort": "low"}) == Reasoning(effort="low")


def test_tokens_are_counted_of_the_prompt_that_is_answered() -> None:
    asked = {"model": "m", "messages": HI, "thinking": {"type": "disabled"}}
    counted = CountTokensRequest.model_validate(asked).prompt()
    assert counted == MessagesRequest.model_validate(asked | {"max_tokens": 9}).prompt()


@pytest.mark.parametrize(
    ("ask", "fields"),
    [
        (chat, {"reasoning_effort": "huge"}),
        (responses, {"reasoning": {"effort": "huge"}}),
        (messages, {"output_config": {"effort": "huge"}}),
        (messages, {"thinking": {"type": "huge"}}),
    ],
)
def test_what_is_no_level_is_refused_by_name(ask: Any, fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        ask(**fields)
    assert {error["loc"][0] for error in caught.value.errors()} == set(fields)
