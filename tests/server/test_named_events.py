"""Streams of named events, on both routes that have them: hang-ups and the end."""

import asyncio
from typing import Any

import pytest

from tests.server.conftest import Served
from tests.server.test_streaming import listening, post, until

MESSAGE = {"role": "user", "content": "hi"}
ROUTES: list[tuple[str, dict[str, Any], str]] = [
    ("/v1/responses", {"model": "tiny-chat", "input": [MESSAGE], "max_output_tokens": 9}, "response.incomplete"),
    ("/v1/messages", {"model": "tiny-chat", "messages": [MESSAGE], "max_tokens": 9}, "message_stop"),
]


@pytest.mark.parametrize(("path", "body", "last"), ROUTES)
async def test_a_client_that_leaves_during_its_stream_ends_its_generation(
    path: str, body: dict[str, Any], last: str
) -> None:
    async with listening() as (port, launcher, manager):
        model = launcher.model("tiny-chat")
        model.token_gate, model.num_free_words = asyncio.Event(), 3
        reader, writer = await post(port, path, body | {"stream": True})
        await reader.readuntil(b"word2")
        writer.close()
        await until(lambda: manager.status("tiny-chat").num_leases == 0)
        assert launcher.worker("tiny-chat").num_aborted == 1


@pytest.mark.parametrize(("path", "body", "last"), ROUTES)
async def test_a_client_that_leaves_while_its_model_loads_withdraws(path: str, body: dict[str, Any], last: str) -> None:
    async with listening() as (port, launcher, manager):
        gate = launcher.model("tiny-chat").load_gate = asyncio.Event()
        _, writer = await post(port, path, body | {"stream": True})
        await until(lambda: manager.status("tiny-chat").num_waiting == 1)
        writer.close()
        await until(lambda: manager.status("tiny-chat").num_waiting == 0)
        gate.set()
        await until(lambda: manager.loaded_ids() == ["tiny-chat"])
        assert launcher.worker("tiny-chat").requests == []


@pytest.mark.parametrize(("path", "body", "last"), ROUTES)
async def test_the_last_event_is_the_end(path: str, body: dict[str, Any], last: str, served: Served) -> None:
    text = (await served.client.post(path, json=body | {"stream": True})).text

    assert text.split("\n\n")[-2].startswith(f"event: {last}\n")
    assert "[DONE]" not in text
