import asyncio
import logging
import re

import pytest

from tests.server.conftest import Served


@pytest.mark.parametrize("path", ["/health", "/nowhere", "/v1/models"])
async def test_every_answer_has_its_request_id_and_its_time(served: Served, path: str) -> None:
    response = await served.client.get(path, headers={"x-request-id": "my-id.1"})
    assert response.headers["x-request-id"] == "my-id.1"
    assert response.headers["openai-processing-ms"].isdigit()
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("request_id", [b"", b"a b", b"x" * 129, "ä".encode(), b"a\tb"])
async def test_a_malformed_id_is_replaced(served: Served, request_id: bytes) -> None:
    response = await served.client.get("/", headers=[(b"x-request-id", request_id)])
    assert len(response.headers["x-request-id"]) == 32


async def test_each_request_is_one_line_without_its_prompt(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "hostler.server.access"):
        await served.client.post("/models/tiny/generate", json={"text": "the prompt"}, headers={"x-request-id": "r1"})
        await served.client.get("/models/nobody/info")
    first, second = [record.getMessage() for record in caplog.records if record.name == "hostler.server.access"]
    assert first.startswith(
        "request request_id=r1 method=POST route=/models/{model_id:model}/generate status=200 seconds="
    )
    assert re.search(
        r" model=tiny-text key=- error=- prompt_tokens=2 completion_tokens=100"
        r" wait_s=\d\.\d{4} queue_s=\d\.\d{4} ttft_s=\d\.\d{4}$",
        first,
    )
    assert "status=404" in second
    assert second.endswith("error=model_not_found")
    assert "the prompt" not in caplog.text


async def test_requests_of_one_id_are_requests_of_their_own(served: Served) -> None:
    headers = {"x-request-id": "mine"}

    async def complete(prompt: str) -> tuple[str, str]:
        body = {"model": "tiny-text", "prompt": prompt, "max_tokens": 2, "echo": True}
        response = await served.client.post("/v1/completions", json=body, headers=headers)
        assert response.headers["x-request-id"] == "mine"
        return response.json()["id"], response.json()["choices"][0]["text"]

    answers = await asyncio.gather(*(complete(prompt) for prompt in ("a", "b", "c")))
    assert [text for _, text in answers] == ["aword0 word1 ", "bword0 word1 ", "cword0 word1 "]
    assert len({answer_id for answer_id, _ in answers}) == 3
    assert not any("mine" in answer_id for answer_id, _ in answers)
