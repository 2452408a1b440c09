"""What is in the log of each request, and what never is."""

import json
import logging
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest

from hostler.logs import JsonFormatter, LineFormatter, set_log_level
from tests.server.conftest import Served, serving

PROMPT = "the purple prompt"
KEY = "the-key-of-the-gate"
TOKEN = "hf_" + "T" * 34
REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"model": "tiny-chat", "messages": [{"role": "user", "content": PROMPT}]}),
    ("/v1/completions", {"model": "tiny-text", "prompt": PROMPT, "max_tokens": 2, "stream": True}),
    ("/v1/completions", {"model": "tiny-text", "prompt": PROMPT, "max_tokens": PROMPT}),
    ("/v1/completions", {"model": "tiny-text", PROMPT: 1}),
    ("/models/tiny-chat/chat", {"message": PROMPT}),
    ("/models/tiny-text/generate", {"text": PROMPT, "stream": True, "stop": [PROMPT]}),
    ("/models/tiny-gated/generate", {"text": PROMPT}),
    ("/models/tiny-text/tokenize", {"prompt": PROMPT}),
    ("/compare", {"models": ["tiny-chat", "tiny-text"], "text": PROMPT}),
]


@pytest.fixture(params=[LineFormatter, JsonFormatter])
def written(request: pytest.FixtureRequest) -> Iterator[StringIO]:
    """All that is logged at any level, in each form; without its secrets being known beforehand."""
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(request.param())
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    set_log_level("DEBUG")
    yield stream
    root.setLevel(before)
    root.removeHandler(handler)


async def test_neither_prompts_nor_answers_nor_keys_nor_tokens_are_logged(written: StringIO) -> None:
    async with serving(api_key=KEY, hf_token=TOKEN) as served:
        for path, body in REQUESTS:
            headers = {"Authorization": f"Bearer {KEY}", "X-Request-Id": "seen"}
            await served.client.post(path, json=body, headers=headers)
        await served.client.post("/v1/completions", content=f'{{"prompt": "{PROMPT}', headers={"X-API-Key": KEY})
        await served.client.get("/models", headers={"X-API-Key": f"wrong{KEY}"}, params={"api_key": KEY})
    log = written.getvalue()
    assert log.count("seen") >= len(REQUESTS)
    for secret in (PROMPT, PROMPT.split()[1], "word0", KEY, TOKEN):
        assert secret not in log


async def test_a_request_is_an_event_with_its_tokens_and_times(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "hostler.server.access"):
        await served.client.post("/v1/completions", json={"model": "tiny", "prompt": "one two", "max_tokens": 3})
    (record,) = [record for record in caplog.records if record.name == "hostler.server.access"]
    line = json.loads(JsonFormatter().format(record))
    assert isinstance(line.pop("wait_s"), float)
    assert isinstance(line.pop("queue_s"), float)
    assert isinstance(line.pop("ttft_s"), float)
    assert isinstance(line.pop("seconds"), float)
    for name in ("time", "level", "logger", "request_id"):
        del line[name]
    assert line == {
        "event": "request",
        "method": "POST",
        "route": "/v1/completions",
        "status": 200,
        "model": "tiny-text",
        "prompt_tokens": 2,
        "completion_tokens": 3,
    }
