"""The fields that OpenAI's client has today, read from its types: none may be unknown here."""

from typing import Any, get_type_hints

import pytest
from openai.types import completion_create_params
from openai.types.chat import (
    ChatCompletionAssistantMessageParam,
    ChatCompletionContentPartTextParam,
    ChatCompletionDeveloperMessageParam,
    ChatCompletionStreamOptionsParam,
    ChatCompletionSystemMessageParam,
    ChatCompletionToolMessageParam,
    ChatCompletionUserMessageParam,
)
from openai.types.chat import completion_create_params as chat_create_params
from pydantic import BaseModel

from hostler.protocol.foreign_fields import Neutral
from hostler.protocol.openai_chat import ChatCompletionRequest
from hostler.protocol.openai_completions import CompletionRequest
from hostler.protocol.openai_fields import CHAT_UNSUPPORTED, COMPLETIONS_UNSUPPORTED, WITHOUT_EFFECT
from hostler.types import SamplingParams

CHAT_FIELDS = set(get_type_hints(chat_create_params.CompletionCreateParamsStreaming))
COMPLETION_FIELDS = set(get_type_hints(completion_create_params.CompletionCreateParamsStreaming))
MESSAGES = {
    "assistant": ChatCompletionAssistantMessageParam,
    "developer": ChatCompletionDeveloperMessageParam,
    "system": ChatCompletionSystemMessageParam,
    "tool": ChatCompletionToolMessageParam,
    "user": ChatCompletionUserMessageParam,
}
ROUTES = [
    (ChatCompletionRequest, CHAT_FIELDS, CHAT_UNSUPPORTED),
    (CompletionRequest, COMPLETION_FIELDS, COMPLETIONS_UNSUPPORTED),
]


def read_chat(**fields: Any) -> ChatCompletionRequest:
    return ChatCompletionRequest.model_validate(
        {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    )


@pytest.mark.parametrize(("kind", "fields", "unsupported"), ROUTES)
def test_every_field_is_either_done_or_passed_over_or_refused(
    kind: type[BaseModel], fields: set[str], unsupported: dict[str, Neutral]
) -> None:
    counts = {name: (name in kind.model_fields) + (name in WITHOUT_EFFECT) + (name in unsupported) for name in fields}

    assert {name: count for name, count in counts.items() if count != 1} == {}


@pytest.mark.parametrize(("kind", "fields", "unsupported"), ROUTES)
def test_nothing_is_refused_or_passed_over_that_openai_does_not_have(
    kind: type[BaseModel], fields: set[str], unsupported: dict[str, Neutral]
) -> None:
    assert set(unsupported) <= fields
    assert WITHOUT_EFFECT <= CHAT_FIELDS | COMPLETION_FIELDS


def test_every_stream_option_is_accepted() -> None:
    options = dict.fromkeys(get_type_hints(ChatCompletionStreamOptionsParam), True)

    assert read_chat(stream=True, stream_options=options).includes_usage


@pytest.mark.parametrize("role", MESSAGES)
def test_every_key_of_a_message_may_be_null(role: str) -> None:
    nulls = dict.fromkeys(get_type_hints(MESSAGES[role]))
    message = nulls | {"role": role, "content": "hi"} | ({"tool_call_id": "call_1"} if role == "tool" else {})
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}

    assert len(read_chat(messages=[{"role": "assistant", "tool_calls": [call]}, message]).prompt().messages) == 2


def test_every_key_of_a_text_part_is_accepted() -> None:
    part = {"type": "text", "text": "hi", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}}
    assert set(part) == set(get_type_hints(ChatCompletionContentPartTextParam))

    assert read_chat(messages=[{"role": "user", "content": [part]}]).prompt().messages[0].content == "hi"


@pytest.mark.parametrize(
    "fields",
    [{"verbosity": "medium"}, {"prediction": {"type": "content", "content": "a"}}],
)
def test_what_asks_for_nothing_is_accepted(fields: dict[str, Any]) -> None:
    assert read_chat(**fields).sampling_params() == SamplingParams()
