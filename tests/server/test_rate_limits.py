"""How many requests one caller may send, and what it is told."""

import openai
import pytest

from tests.server.conftest import serving
from tests.server.test_openai import CHAT

GENERATE = {"text": "a b c"}


async def test_a_caller_is_told_what_is_left_and_then_to_wait() -> None:
    async with serving(requests_per_minute=2) as served:
        told = []
        for path, body in (("/v1/chat/completions", CHAT), ("/models/tiny-text/generate", GENERATE)):
            answer = await served.client.post(path, json=body)
            assert answer.status_code == 200
            assert answer.headers["x-ratelimit-limit-requests"] == "2"
            told.append(answer.headers["x-ratelimit-remaining-requests"])
        assert told == ["1", "0"]
        refused = await served.client.post("/v1/chat/completions", json=CHAT)
    assert refused.status_code == 429
    error = refused.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("rate_limit_error", "rate_limit_exceeded", None)
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert refused.headers["x-ratelimit-reset-requests"] == f"{refused.headers['retry-after']}s"


async def test_a_stream_has_the_headers_too() -> None:
    async with serving(requests_per_minute=5) as served:
        answer = await served.client.post("/v1/chat/completions", json=CHAT | {"stream": True})
    assert answer.headers["x-ratelimit-remaining-requests"] == "4"


async def test_questions_that_ask_no_model_are_not_counted() -> None:
    async with serving(requests_per_minute=1) as served:
        for path in ("/v1/models", "/models", "/health"):
            answer = await served.client.get(path)
            assert answer.status_code == 200
            assert "x-ratelimit-limit-requests" not in answer.headers
        assert (await served.client.post("/v1/chat/completions", json=CHAT)).status_code == 200


async def test_who_has_no_key_uses_up_nothing_of_those_who_have() -> None:
    async with serving(requests_per_minute=1, api_key="secret") as served:
        for _ in range(3):
            assert (await served.client.post("/v1/chat/completions", json=CHAT)).status_code == 401
        key = {"authorization": "Bearer secret"}
        assert (await served.client.post("/v1/chat/completions", json=CHAT, headers=key)).status_code == 200


async def test_without_a_limit_nothing_is_said_of_one() -> None:
    async with serving() as served:
        answer = await served.client.post("/v1/chat/completions", json=CHAT)
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]


async def test_openais_client_raises_its_own_class() -> None:
    async with serving(requests_per_minute=1) as served:
        client = openai.AsyncOpenAI(
            api_key="-", base_url="http://localhost/v1", http_client=served.client, max_retries=0
        )
        await client.chat.completions.create(**CHAT)
        with pytest.raises(openai.RateLimitError):
            await client.chat.completions.create(**CHAT)
