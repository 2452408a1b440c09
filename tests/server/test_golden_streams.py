"""Every kind of stream, byte for byte, as kept in `golden/`; ids and times are replaced by names.

After a wanted change: `UPDATE_GOLDEN=1 pytest tests/server/test_golden_streams.py`, then read the difference.
"""

import asyncio
import os
import re
from pathlib import Path
from typing import Any

import pytest

from hostler.errors import EngineRequestError, ModelLoadError
from hostler.server.streaming import StreamTiming
from tests.server.conftest import Served, serving

GOLDEN = Path(__file__).parent / "golden"
CHAT: dict[str, Any] = {"model": "tiny-chat", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}
COMPLETION: dict[str, Any] = {"model": "tiny-text", "prompt": "a b", "max_tokens": 2}
USAGE = {"stream_options": {"include_usage": True}}
CHAT_PATH, COMPLETIONS_PATH = "/v1/chat/completions", "/v1/completions"

STREAMS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": (CHAT_PATH, CHAT),
    "chat-choices-logprobs": (CHAT_PATH, CHAT | {"n": 2, "logprobs": True, "top_logprobs": 1}),
    "chat-usage": (CHAT_PATH, CHAT | USAGE),
    "completion": (COMPLETIONS_PATH, COMPLETION),
    "completion-prompts-usage": (COMPLETIONS_PATH, COMPLETION | {"prompt": ["a", "b c"], "max_tokens": 1} | USAGE),
    "completion-echo-logprobs": (COMPLETIONS_PATH, COMPLETION | {"echo": True, "logprobs": 1}),
    "native-generate": ("/models/tiny-text/generate", {"text": "a b", "max_new_tokens": 2}),
    "native-texts": ("/models/tiny-text/generate", {"texts": ["a b", "c"], "max_new_tokens": 1}),
    "native-compare": ("/compare", {"models": ["tiny-text"], "text": "a b", "max_new_tokens": 2}),
    "native-chat": ("/models/tiny-chat/chat", {"message": "hi", "max_length": 2}),
    "messages": ("/v1/messages", CHAT),
    "responses": ("/v1/responses", {"model": "tiny-chat", "input": "hi", "max_output_tokens": 2}),
    "error-before-headers": (CHAT_PATH, CHAT | {"max_tokens": 5000}),
}


def normalised(text: str) -> str:
    """Without what differs from run to run."""
    text = re.sub(r'"id":"(chatcmpl|cmpl)-[0-9a-f]{32}"', r'"id":"\1-ID"', text)
    text = re.sub(r'"(resp|msg|rs|fc)_[0-9a-f]{32}"', r'"\1_ID"', text)
    text = re.sub(r'"(created_at|completed_at)":\d{10}\b', r'"\1":TIME', text)
    text = re.sub(r'"(load_s|ttft_s|total_s|tokens_per_second)":[0-9.e-]+', r'"\1":NUMBER', text)
    text = re.sub(r'"created":\d{10}\b', '"created":TIME', text)
    return re.sub(r'"fp_[0-9a-f]{12}"', '"fp_PRINT"', text)


def check(name: str, text: str) -> None:
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(normalised(text))
    assert normalised(text) == path.read_text()


@pytest.mark.parametrize("name", STREAMS)
async def test_a_stream_is_as_it_was(name: str, served: Served) -> None:
    path, body = STREAMS[name]
    response = await served.client.post(path, json=body | {"stream": True})
    check(name, response.text)


@pytest.mark.parametrize("name", ["chat-error-inside", "native-error-inside"])
async def test_a_stream_that_fails_is_as_it_was(name: str, served: Served) -> None:
    model = served.launcher.model("tiny-chat")
    model.generation_error = EngineRequestError("numbers overflowed")
    model.num_free_words = 1
    path, body = STREAMS["chat" if name.startswith("chat") else "native-chat"]
    check(name, (await served.client.post(path, json=body | {"stream": True})).text)


@pytest.mark.parametrize("name", ["chat-comments", "chat-comments-error"])
async def test_a_stream_that_waits_is_as_it_was(name: str) -> None:
    async with serving(timing=StreamTiming(headers_after_s=0.0, comment_every_s=0.001)) as served:
        model = served.launcher.model("tiny-chat")
        model.load_gate = asyncio.Event()
        if name.endswith("error"):
            model.load_error = ModelLoadError("no such file")
        asked = asyncio.create_task(served.client.post(CHAT_PATH, json=CHAT | {"stream": True}))
        while not served.launcher.workers:  # noqa: ASYNC110 - a start sets no event
            await asyncio.sleep(0)
        model.load_gate.set()
        text = (await asked).text
    # How often it is told depends on the time that it waits, as does whether it is seen between load and answer.
    check(name, re.sub(r"(: [^\n]+\n\n)\1+", r"\1", text.replace(": queued\n\n", "")))
