"""What a route hands over to the engine besides the prompt and the parameters."""

from typing import Any

import pytest

from tests.server.conftest import Served

MESSAGES = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/models/tiny-text/generate", {"text": "a"}),
        ("/models/tiny-text/chat", {"message": "a"}),
        ("/v1/completions", {"model": "tiny-text", "prompt": ["a", "b"]}),
        ("/v1/chat/completions", {"model": "tiny-text", "messages": MESSAGES}),
    ],
)
@pytest.mark.parametrize(("asked", "used"), [({"priority": -7}, -7), ({"priority": None}, 0), ({}, 0)])
async def test_the_priority_of_a_request_reaches_the_engine(
    path: str, body: dict[str, Any], asked: dict[str, Any], used: int, served: Served
) -> None:
    response = await served.client.post(path, json=body | asked)
    assert response.status_code == 200
    assert set(served.launcher.worker("tiny-text").priorities) == {used}
