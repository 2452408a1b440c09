"""What callers may ask of models, and what they are told."""

import asyncio
from pathlib import Path
from typing import Any

import openai
import pytest

from hostler.keys import CallerLimits, Key, Scope, digest_of
from hostler.keys_file import changing
from tests.server.conftest import serving
from tests.server.test_openai import CHAT
from tests.server.test_streaming import until

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
    assert 1 <= int(refused.headers["retry-after"]) <= 120
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert 1 <= int(refused.headers["x-ratelimit-reset-requests"].removesuffix("s")) <= 120


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


def key_with(keys_file: Path, name: str, **limits: int) -> dict[str, str]:
    scopes = frozenset({Scope.INFERENCE})
    with changing(keys_file) as keys:
        keys[name] = Key(name=name, digest=digest_of(name.encode()), scopes=scopes, limits=CallerLimits(**limits))
    return {"x-api-key": name}


async def test_a_key_has_its_own_limits_before_the_servers(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    large, usual = key_with(path, "large", requests_per_minute=9), key_with(path, "usual")
    async with serving(keys_file=path, requests_per_minute=1) as served:
        for key, limit in ((large, "9"), (usual, "1")):
            answer = await served.client.post("/v1/chat/completions", json=CHAT, headers=key)
            assert answer.headers["x-ratelimit-limit-requests"] == limit
        assert (await served.client.post("/v1/chat/completions", json=CHAT, headers=usual)).status_code == 429
        assert (await served.client.post("/v1/chat/completions", json=CHAT, headers=large)).status_code == 200


@pytest.mark.parametrize(("setting", "whose"), [("address_", "this address"), ("total_", "all callers")])
async def test_keys_share_what_is_for_their_address_or_for_all(tmp_path: Path, setting: str, whose: str) -> None:
    path = tmp_path / "keys.yaml"
    keys = [key_with(path, name) for name in ("a", "b")]
    settings: dict[str, Any] = {f"{setting}requests_per_minute": 1, "keys_file": path}
    async with serving(**settings) as served:
        first, second = [await served.client.post("/v1/chat/completions", json=CHAT, headers=key) for key in keys]
    assert (first.status_code, second.status_code) == (200, 429)
    assert f"allowed for {whose} ({setting}requests_per_minute)" in second.json()["error"]["message"]


async def test_tokens_are_counted_when_they_are_known() -> None:
    async with serving(tokens_per_minute=60) as served:
        told = []
        for _ in range(2):
            answer = await served.client.post("/v1/chat/completions", json=CHAT | {"max_tokens": 10})
            assert answer.status_code == 200
            assert answer.headers["x-ratelimit-limit-tokens"] == "60"
            told.append(int(answer.headers["x-ratelimit-remaining-tokens"]))
            used = answer.json()["usage"]["total_tokens"]
    estimate = 60 - told[0]
    assert told[0] - told[1] == max(estimate, used)


async def test_an_answer_that_takes_more_than_is_left_is_counted_whole_and_the_next_waits() -> None:
    async with serving(tokens_per_minute=40) as served:
        for path in ("/v1/chat/completions", "/v1/chat/completions"):
            answer = await served.client.post(path, json=CHAT | {"max_tokens": 100, "ignore_eos": True})
        assert answer.status_code == 429
        assert answer.headers["x-ratelimit-remaining-tokens"] == "0"
        assert "tokens a minute" in answer.json()["error"]["message"]


async def test_a_stream_counts_what_came_of_it() -> None:
    async with serving(tokens_per_minute=1000) as served:
        await served.client.post("/v1/chat/completions", json=CHAT | {"stream": True, "max_tokens": 200})
        answer = await served.client.post("/v1/chat/completions", json=CHAT)
        told = int(answer.headers["x-ratelimit-remaining-tokens"])
    assert told < 1000 - 200


@pytest.mark.parametrize("setting", ["concurrent_requests", "queued_requests", "total_concurrent_requests"])
async def test_requests_that_are_under_way_are_bounded_and_let_go_of(setting: str) -> None:
    settings: dict[str, Any] = {setting: 1}
    async with serving(**settings) as served:
        model = served.launcher.model("tiny-chat")
        model.load_gate = asyncio.Event()
        waiting = asyncio.create_task(served.client.post("/v1/chat/completions", json=CHAT))
        await until(lambda: served.services.rate_limits.open_requests.num_open == 1)
        refused = await served.client.post("/v1/chat/completions", json=CHAT)
        assert refused.status_code == 429
        assert setting in refused.json()["error"]["message"]
        assert refused.headers["retry-after"] == "1"
        model.load_gate.set()
        assert (await waiting).status_code == 200
        assert (await served.client.post("/v1/chat/completions", json=CHAT)).status_code == 200
        assert served.services.rate_limits.open_requests.num_open == 0


async def test_a_request_that_has_its_first_token_waits_no_longer() -> None:
    async with serving(queued_requests=1) as served:
        model = served.launcher.model("tiny-chat")
        model.token_gate, model.num_free_words = asyncio.Event(), 1
        counts = served.services.rate_limits.open_requests
        running = asyncio.create_task(served.client.post("/v1/chat/completions", json=CHAT))
        await until(lambda: (counts.num_open, counts.num_queued) == (1, 0))
        model.token_gate.set()
        assert (await served.client.post("/v1/chat/completions", json=CHAT)).status_code == 200
        assert (await running).status_code == 200


@pytest.mark.parametrize("body", [{"model": "nobody"}, {"messages": 1}])
async def test_a_request_that_is_refused_is_let_go_of_too(body: dict[str, Any]) -> None:
    async with serving(concurrent_requests=1) as served:
        for _ in range(3):
            assert (await served.client.post("/v1/chat/completions", json=CHAT | body)).status_code in (400, 404)
        assert served.services.rate_limits.open_requests.num_open == 0


async def test_a_key_that_fills_the_places_to_wait_does_not_have_another_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    greedy, modest = key_with(path, "greedy"), key_with(path, "modest")
    async with serving(keys_file=path, max_waiting_per_model=2) as served:
        gate = served.launcher.model("tiny-chat").load_gate = asyncio.Event()

        def ask(key: dict[str, str]) -> asyncio.Task[Any]:
            return asyncio.create_task(served.client.post("/v1/chat/completions", json=CHAT, headers=key))

        waiting = [ask(greedy), ask(greedy)]
        await until(lambda: served.manager.status("tiny-chat").num_waiting == 2)
        refused = await ask(greedy)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "queue_full")
        waiting.append(ask(modest))
        await until(lambda: served.manager.status("tiny-chat").num_waiting == 3)
        gate.set()
        assert [(await answer).status_code for answer in waiting] == [200, 200, 200]
