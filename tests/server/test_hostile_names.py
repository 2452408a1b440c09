"""Names of models that are meant as something else: nothing of a request is ever a path."""

from urllib.parse import quote

import pytest

from hostler.errors import ModelNotFoundError
from hostler.registry import ModelEntry
from tests.server.conftest import serving
from tests.server.test_openai import CHAT

NAMES = [
    *("../../etc/passwd", "..", ".", "/etc/passwd", "..\\..\\windows", "file:///etc/passwd", "~/.ssh/id_rsa"),
    *("acme/..", "../acme", "acme/Tiny-Chat/..", "acme//Tiny-Chat", "%2e%2e%2fetc", "..%2f..%2fetc%2fpasswd"),
    *("tiny-chat\x00", "tiny-chat\n", " tiny-chat", "tiny-chat/", "acme/Tiny-Chat@main", "acme/Tiny-Chat?x=1"),
    *("http://169.254.169.254/latest", "models--acme--Tiny", "${HF_TOKEN}", "{{7*7}}", "; rm -rf /", "a" * 5000),
    *("TINY-CHAT", "tiny-сhat", "‮tahc-ynit", ""),
]


@pytest.mark.parametrize("allow_unlisted", [False, True])
async def test_what_is_no_name_of_a_model_loads_nothing_and_reaches_no_hub(allow_unlisted: bool) -> None:
    looked_up: list[str] = []

    def look_up(name: str) -> ModelEntry:
        looked_up.append(name)
        raise ModelNotFoundError("the hub has none", param="model")

    async with serving(allow_unlisted=allow_unlisted, look_up=look_up) as served:
        for name in NAMES:
            answers = [await served.client.post("/v1/chat/completions", json=CHAT | {"model": name})]
            answers.append(await served.client.post("/compare", json={"models": [name], "text": "a"}))
            # A client resolves these by itself.
            for encoded in (
                () if name in ("", ".", "..") else (quote(name, safe=""), quote(quote(name, safe=""), safe=""))
            ):
                answers.append(await served.client.get(f"/models/{encoded}/info"))
                answers.append(await served.client.post(f"/models/{encoded}/generate", json={"text": "a"}))
            for answer in answers:
                listing = answer.status_code == 200 and answer.json().get("object") == "list"
                assert listing or 400 <= answer.status_code < 500, (name, answer.url)
                assert len(answer.content) < 2048 or listing
        assert served.launcher.workers == []
        assert looked_up == []
