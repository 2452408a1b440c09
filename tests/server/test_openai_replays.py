"""Requests as applications send them that are too heavy to install here, written down from their sources."""

from typing import Any

import pytest
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.server.conftest import Served
from tests.server.test_openai import events
from tests.server.test_openai_types import ENDS_LATER, violations

CHAT_ROUTE = "/v1/chat/completions"
TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "hello"},
    {"role": "user", "content": [{"type": "text", "text": "and now?"}]},
]
OPEN_WEBUI: dict[str, Any] = {
    "model": "tiny-chat",
    "messages": TURNS,
    "stream": True,
    "stream_options": {"include_usage": True},
    "temperature": 0.8,
    "top_p": 0.9,
    "max_tokens": 4,
    "frequency_penalty": 0.1,
    "presence_penalty": 0.1,
    "seed": 42,
    "stop": ["\n\n", "User:"],
    "logit_bias": {"15": -5},
}
OPEN_WEBUI_TITLE = {"model": "tiny-chat", "messages": TURNS[1:2], "stream": False, "max_completion_tokens": 1000}
AIDER = {"model": "tiny-chat", "messages": TURNS, "stream": True, "temperature": 0}
AIDER_COMMIT_MESSAGE = {"model": "tiny-chat", "messages": TURNS[:2], "stream": False, "temperature": 0, "max_tokens": 8}
OPENAI_AGENTS = {"model": "tiny-chat", "messages": TURNS, "stream": True, "max_tokens": 4, "store": None}
AIPERF = {
    "model": "tiny-chat",
    "messages": [{"role": "user", "name": "", "content": "hi"}],
    "max_completion_tokens": 4,
    "stream": True,
    "stream_options": {"include_usage": True},
}
GUIDELLM: dict[str, Any] = {
    "model": "tiny-text",
    "prompt": "a b c",
    "max_tokens": 4,
    "stop": None,
    "ignore_eos": True,
    "stream": True,
    "stream_options": {"include_usage": True, "continuous_usage_stats": True},
}


@pytest.mark.parametrize(
    ("route", "body", "kind"),
    [
        pytest.param(CHAT_ROUTE, OPEN_WEBUI, ChatCompletionChunk, id="open_webui"),
        pytest.param(CHAT_ROUTE, AIDER, ChatCompletionChunk, id="aider"),
        pytest.param(CHAT_ROUTE, OPENAI_AGENTS, ChatCompletionChunk, id="openai_agents"),
        pytest.param(CHAT_ROUTE, AIPERF, ChatCompletionChunk, id="aiperf"),
        pytest.param("/v1/completions", GUIDELLM, Completion, id="guidellm"),
    ],
)
async def test_a_stream_is_answered_with_openais_chunks(
    served: Served, route: str, body: dict[str, Any], kind: type[ChatCompletionChunk] | type[Completion]
) -> None:
    response = await served.client.post(route, json=body)

    assert response.status_code == 200, response.text
    chunks = events(response.text)
    assert all(violations(kind, chunk) <= ENDS_LATER for chunk in chunks)
    assert (chunks[-1].get("usage") is not None) == ("stream_options" in body)


@pytest.mark.parametrize("body", [OPEN_WEBUI_TITLE, AIDER_COMMIT_MESSAGE], ids=["open_webui", "aider"])
async def test_a_whole_answer_is_openais(served: Served, body: dict[str, Any]) -> None:
    response = await served.client.post(CHAT_ROUTE, json=body)

    assert response.status_code == 200, response.text
    assert violations(ChatCompletion, response.json()) == set()


async def test_open_webui_finds_the_models_by_the_key_data(served: Served) -> None:
    rows = (await served.client.get("/v1/models")).json()["data"]

    assert {"id", "object", "owned_by"} <= set(rows[0])
