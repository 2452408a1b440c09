"""What a route hands over to the engine besides the prompt and the parameters."""

from typing import Any

import pytest

from hostler.types import ModelState
from tests.server.conftest import Served
from tests.server.test_streaming import until

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


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/models/tiny-text/generate", {"text": "a"}),
        ("/models/tiny-text/chat", {"message": "a"}),
        ("/models/tiny-text/load", {}),
        ("/v1/completions", {"model": "tiny-text", "prompt": "a"}),
        ("/v1/chat/completions", {"model": "tiny-text", "messages": MESSAGES}),
    ],
)
async def test_a_model_whose_keep_alive_is_0_leaves_after_its_last_request(
    path: str, body: dict[str, Any], served: Served
) -> None:
    response = await served.client.post(path, json=body | {"keep_alive": 0})
    assert response.status_code == 200
    await until(lambda: served.manager.status("tiny-text").state is ModelState.UNLOADED)
    reasons = [entry.facts.get("reason") for entry in served.manager.journal.last(model_id="tiny-text")]
    assert "idle" in reasons


@pytest.mark.parametrize("keep_alive", [-1, "-1", "5m", 300, 0.5, None])
@pytest.mark.parametrize("path", ["/models/tiny-text/generate", "/v1/completions"])
async def test_keep_alive_is_seconds_a_duration_or_for_ever(path: str, keep_alive: object, served: Served) -> None:
    body = {"text": "a"} if "generate" in path else {"model": "tiny-text", "prompt": "a"}
    response = await served.client.post(path, json=body | {"keep_alive": keep_alive})
    assert response.status_code == 200
    assert served.manager.loaded_ids() == ["tiny-text"]


@pytest.mark.parametrize("keep_alive", ["5 minutes", "soon", True, [], {}])
async def test_a_keep_alive_that_is_none_names_the_field_and_what_it_may_be(keep_alive: object, served: Served) -> None:
    native = await served.client.post("/generate", json={"text": "a", "keep_alive": keep_alive})
    (problem,) = native.json()["detail"]
    assert (native.status_code, problem["loc"]) == (422, ["body", "keep_alive"])
    assert "a duration such as '5m'" in problem["msg"]
    asked = {"model": "tiny-text", "prompt": "a", "keep_alive": keep_alive}
    openai = await served.client.post("/v1/completions", json=asked)
    assert (openai.status_code, openai.json()["error"]["param"]) == (400, "keep_alive")
