"""A token of the hub and a key, planted, and looked for in everything that comes out."""

import logging
from io import StringIO
from typing import Any, cast

from fastapi.routing import iter_route_contexts

from hostler.errors import ModelLoadError
from hostler.logs import LineFormatter, set_log_level
from hostler.registry import ModelEntry
from tests.server.conftest import serving
from tests.server.test_openai import CHAT

TOKEN = "hf_" + "PlantedTokenOfTheHub0123456789"
KEY = "planted-key-of-the-door"


def look_up(name: str) -> ModelEntry:
    """A hub whose library tells the token with its error."""
    raise RuntimeError(f"401 for https://user:{TOKEN}@huggingface.co/{name} (Authorization: Bearer {TOKEN})")


async def test_what_is_planted_is_in_no_answer_event_metric_or_log_line() -> None:
    log = StringIO()
    handler = logging.StreamHandler(log)
    handler.setFormatter(LineFormatter([TOKEN, KEY]))
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    set_log_level("DEBUG")
    try:
        said = await everything_that_is_said()
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
    assert len(said) > 100
    assert "RuntimeError" in log.getvalue()
    for text in (*said, log.getvalue()):
        assert TOKEN not in text
        assert KEY not in text


async def everything_that_is_said() -> list[str]:
    """Headers and bodies of every route, for models that fail in ways that quote the token."""
    said = []
    async with serving(hf_token=TOKEN, api_key=KEY, allow_unlisted=True, look_up=look_up) as served:

        async def ask(method: str, path: str, key: str = KEY, body: dict[str, Any] | None = None) -> None:
            answer = await served.client.request(method, path, headers={"x-api-key": key}, json=body)
            said.append(f"{answer.headers} {answer.text}")

        served.launcher.model("tiny-chat").load_error = ModelLoadError("it cannot be loaded")
        served.launcher.model("tiny-text").launch_error = cast(Any, RuntimeError(f"HF_TOKEN={TOKEN}"))
        for template in {context.path_format or "" for context in iter_route_contexts(served.app.routes)}:
            models = ("tiny-chat", "tiny-text", "acme/NotThere") if "{model_id}" in template else ("tiny-text",)
            for model in models:
                path = template.replace("{model_id}", model).replace("{model_type}", "text").replace("{name}", "x.js")
                await ask("GET", path, key=f"{KEY}x")
                await ask("GET", path)
                await ask("POST", path, body=CHAT | {"model": model})
        for path in ("/models/tiny-text/load", "/models/tiny-chat/load", "/models/tiny-text/generate"):
            await ask("POST", path, body={"text": "a"} if path.endswith("generate") else {})
        for path in ("/events", "/metrics", "/models", "/auth/status"):
            await ask("GET", path)
    return said
