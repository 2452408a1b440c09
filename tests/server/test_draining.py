"""What is answered while the server leaves."""

import asyncio

import pytest

from tests.server.conftest import Served
from tests.server.test_streaming import until


async def test_health_is_answered_and_readiness_is_false(served: Served) -> None:
    served.services.drain.begun.set()
    ready = await served.client.get("/health/ready")
    assert (ready.status_code, ready.json()) == (503, {"status": "stopping"})
    for path in ("/health", "/health/live"):
        assert (await served.client.get(path)).status_code == 200


@pytest.mark.parametrize("path", ["/models", "/v1/models", "/no/such/path"])
async def test_all_else_is_refused_and_the_connection_closed(served: Served, path: str) -> None:
    served.services.drain.begun.set()
    response = await served.client.get(path)
    assert response.status_code == 503
    assert "shutting_down" in response.text
    assert response.headers["retry-after"] == "5"
    assert response.headers["connection"] == "close"


async def test_a_request_is_counted_until_its_answer_is_complete(served: Served) -> None:
    drain = served.services.drain
    gate = served.launcher.model("tiny-text").load_gate = asyncio.Event()
    asked = asyncio.create_task(served.client.post("/models/tiny-text/load"))
    await until(lambda: drain.num_running == 1)
    assert not drain.idle.is_set()
    gate.set()
    await asked
    assert drain.idle.is_set()


async def test_a_load_that_a_request_waits_for_is_given_up(served: Served) -> None:
    served.launcher.model("tiny-text").load_gate = asyncio.Event()
    asked = asyncio.create_task(served.client.post("/models/tiny-text/load"))
    await until(lambda: served.manager.status("tiny-text").num_waiting == 1)
    served.manager.drain()
    assert (await asked).json()["code"] == "shutting_down"
