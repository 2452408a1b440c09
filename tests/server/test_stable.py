"""Plans, events and the health of models, over HTTP."""

import asyncio
from typing import Any, get_args

import pytest
from typing_extensions import get_type_hints

from hostler import host_memory
from hostler.errors import ModelLoadError
from hostler.lifecycle.events import NoteKind
from hostler.memory import Estimate, Footprint, FootprintBasis
from hostler.protocol.stable_answers import FootprintParts, ModelEvent, ModelHealth
from hostler.server.streaming import StreamTiming
from hostler.types import ModelState
from tests.server.conftest import Served, serving
from tests.server.test_streaming import until

GIB = 2**30
AMOUNTS = {"host", "places"}


def estimate(num_bytes: int, load_s: float | None = None) -> Estimate:
    footprint = Footprint(
        weights_bytes=num_bytes - 3,
        kv_cache_bytes=1,
        workspace_bytes=1,
        process_bytes=1,
        basis=FootprintBasis.HEADERS,
    )
    return Estimate(footprint=footprint, load_s=load_s)


async def test_a_plan_of_a_model_that_fits_has_all_its_numbers() -> None:
    async with serving(estimates={"tiny-text": estimate(GIB, 2.5)}, memory_budget="2GiB") as served:
        body = (await served.client.post("/models/tiny/plan")).json()
    assert body.pop("text").startswith("tiny-text needs 1.0 GiB of host memory")
    assert body == {
        "model_id": "tiny-text",
        "verdict": "fits",
        "device": "cpu",
        "needs": {"host": GIB, "places": 1},
        "footprint": {
            "weights_bytes": GIB - 3,
            "kv_cache_bytes": 1,
            "workspace_bytes": 1,
            "process_bytes": 1,
            "basis": "headers",
        },
        "budget": {"host": 2 * GIB, "places": 3},
        "free": {"host": 2 * GIB, "places": 3},
        "available": {"host": 2**50},
        "lacking": {},
        "victims": [],
        "in_flight": {},
        "expected_seconds": 2.5,
    }


async def test_a_plan_says_when_other_programs_have_left_too_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_memory, "available_bytes", lambda: GIB // 4)
    async with serving(estimates={"tiny-text": estimate(GIB)}, memory_budget="2GiB") as served:
        body = (await served.client.post("/models/tiny/plan")).json()
    assert (body["verdict"], body["available"]) == ("fits", {"host": GIB // 4})
    assert body["text"].endswith(
        "which no model holds, but only 256 MiB of host memory are left on this machine: unless other programs end, the"
        " load may be slow or fail"
    )


async def test_a_plan_names_who_would_leave_and_changes_nothing() -> None:
    estimates = {"tiny-text": estimate(GIB), "tiny-chat": estimate(GIB)}
    async with serving(estimates=estimates, memory_budget="1GiB") as served:
        await served.client.post("/models/tiny-chat/load")
        num_entries = len(served.manager.journal.last())
        body = (await served.client.post("/models/tiny-text/plan")).json()
        assert body["verdict"] == "fits_after_eviction"
        (victim,) = body["victims"]
        assert set(victim) == {"model_id", "reason", "frees", "idle_seconds", "load_seconds"}
        assert (victim["model_id"], victim["frees"]) == ("tiny-chat", {"host": GIB, "places": 1})
        assert "idle for" in victim["reason"]
        assert served.manager.loaded_ids() == ["tiny-chat"]
        assert len(served.manager.journal.last()) == num_entries


async def test_a_plan_behind_requests_in_flight_says_what_is_lacking() -> None:
    estimates = {"tiny-text": estimate(GIB), "tiny-chat": estimate(GIB)}
    async with serving(estimates=estimates, memory_budget="1GiB") as served:
        gate = served.launcher.model("tiny-chat").token_gate = asyncio.Event()
        answer = asyncio.create_task(served.client.post("/chat", json={"message": "a"}))
        await until(lambda: served.manager.status("tiny-chat").num_leases == 1)
        body = (await served.client.post("/models/tiny-text/plan")).json()
        assert (body["verdict"], body["in_flight"], body["expected_seconds"]) == ("waits", {"tiny-chat": 1}, None)
        assert body["lacking"]["host"] == GIB
        gate.set()
        assert (await answer).status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/generate", {"text": "a"}),
        ("/generate", {"text": "a", "stream": True}),
        ("/v1/completions", {"model": "tiny-text", "prompt": "a"}),
        ("/v1/completions", {"model": "tiny-text", "prompt": "a", "stream": True}),
    ],
)
async def test_a_model_that_can_never_fit_is_refused_at_once_with_the_numbers(path: str, body: dict[str, Any]) -> None:
    async with serving(estimates={"tiny-text": estimate(3 * GIB)}, memory_budget="2GiB") as served:
        plan = (await served.client.post("/models/tiny-text/plan")).json()
        assert (plan["verdict"], plan["expected_seconds"]) == ("never_fits", None)
        response = await served.client.post(path, json=body)
        assert response.status_code == 400
        assert response.headers["x-should-retry"] == "false"
        assert "retry-after" not in response.headers
        error = response.json().get("error", response.json())
        assert error["code"] == "model_too_large"
        assert all(number in response.text for number in ("3.0 GiB", "2.0 GiB"))


async def test_a_failed_load_says_when_the_next_is_tried(served: Served) -> None:
    served.launcher.model("tiny-text").load_error = ModelLoadError("the file is cut short")
    for body in ({"text": "a"}, {"text": "b"}):
        response = await served.client.post("/generate", json=body)
        assert (response.status_code, response.json()["code"]) == (503, "model_load_failed")
        assert response.headers["retry-after"] == "10"
    openai = await served.client.post("/v1/completions", json={"model": "tiny-text", "prompt": "a"})
    assert (openai.status_code, openai.headers["retry-after"]) == (503, "10")
    assert len(served.launcher.workers) == 1


async def test_a_full_queue_says_when_to_come_back() -> None:
    async with serving(max_waiting_per_model=1) as served:
        gate = served.launcher.model("tiny-text").load_gate = asyncio.Event()
        first = asyncio.create_task(served.client.post("/generate", json={"text": "a"}))
        await until(lambda: served.manager.status("tiny-text").num_waiting == 1)
        for path, body in (
            ("/generate", {"text": "a"}),
            ("/v1/completions", {"model": "tiny-text", "prompt": "a"}),
        ):
            response = await served.client.post(path, json=body)
            assert response.status_code == 429
            assert int(response.headers["retry-after"]) >= 1
        gate.set()
        assert (await first).status_code == 200


async def test_events_tell_what_happened_oldest_first(served: Served) -> None:
    await served.client.post("/models/tiny-chat/load")
    await served.client.post("/models/tiny-text/load")
    body = (await served.client.get("/events")).json()
    kinds = [(event["kind"], event["model_id"]) for event in body["events"]]
    assert ("loading", "tiny-chat") in kinds
    assert kinds.index(("loaded", "tiny-chat")) < kinds.index(("loading", "tiny-text"))
    assert [event["number"] for event in body["events"]] == list(range(1, len(kinds) + 1))
    assert body["last"] == len(kinds)
    assert set(body["events"][0]) == {"number", "time", "kind", "model_id", "text", "facts"}
    of_one = (await served.client.get("/models/acme%2FTiny-Chat/events")).json()
    assert {event["model_id"] for event in of_one["events"]} == {"tiny-chat"}


async def test_pages_follow_each_other_without_a_gap(served: Served) -> None:
    for model_id in ("tiny-chat", "tiny-text"):
        await served.client.post(f"/models/{model_id}/load")
    numbers = [event["number"] for event in (await served.client.get("/events")).json()["events"]]
    newest = (await served.client.get("/events", params={"limit": 2})).json()["events"]
    assert [event["number"] for event in newest] == numbers[-2:]
    last, read = 1, [1]
    while page := (await served.client.get("/events", params={"after": last, "limit": 2})).json()["events"]:
        read += [event["number"] for event in page]
        last = read[-1]
    assert read == numbers


async def test_a_number_from_before_a_restart_starts_at_the_beginning(served: Served) -> None:
    await served.client.post("/models/tiny-chat/load")
    body = (await served.client.get("/events", params={"after": 10**6})).json()
    assert body["events"][0]["number"] == 1
    nothing = (await served.client.get("/models/tiny-text/events", params={"after": 1})).json()
    assert nothing == {"events": [], "last": 1}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"after": -1}, "after"),
        ({"after": "x"}, "after"),
        ({"after": 2**64}, "after"),
        ({"stream": "perhaps"}, "stream"),
    ],
)
@pytest.mark.parametrize("path", ["/events", "/models/tiny-chat/events"])
async def test_a_wrong_query_names_its_field(served: Served, path: str, query: dict[str, Any], field: str) -> None:
    response = await served.client.get(path, params=query)
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["query", field]


@pytest.mark.parametrize("sent", ["x", "-1", "1" * 30, "１"])
async def test_an_event_id_that_this_server_never_gave_is_refused(served: Served, sent: str) -> None:
    headers = {b"accept": b"text/event-stream", b"last-event-id": sent.encode()}
    response = await served.client.get("/events", headers=headers)
    assert (response.status_code, response.json()["code"]) == (400, "invalid_value")
    assert "Last-Event-ID" in response.json()["detail"]


async def test_health_of_a_model_never_loads_it(served: Served) -> None:
    response = await served.client.get("/models/tiny-chat/health")
    assert response.json() == {
        "model_id": "tiny-chat",
        "state": "unloaded",
        "num_leases": 0,
        "num_waiting": 0,
        "reserved": {},
        "last_error": None,
        "retry_after_s": None,
    }
    deep = await served.client.get("/models/tiny-chat/health", params={"deep": 1})
    assert (deep.status_code, deep.json()["code"]) == (503, "model_not_loaded")
    assert "unloaded" in deep.json()["detail"]
    assert served.launcher.workers == []
    assert served.manager.journal.last() == []


async def test_health_tells_of_a_failure_and_of_what_is_reserved() -> None:
    async with serving(estimates={"tiny-chat": estimate(GIB)}, memory_budget="2GiB") as served:
        served.launcher.model("tiny-text").load_error = ModelLoadError("the file is cut short")
        await served.client.post("/generate", json={"text": "a"})
        failed = (await served.client.get("/models/tiny-text/health")).json()
        assert (failed["state"], failed["last_error"]) == ("failed", "the file is cut short")
        assert 9 < failed["retry_after_s"] <= 10
        await served.client.post("/models/tiny-chat/load")
        ready = (await served.client.get("/models/tiny-chat/health")).json()
        assert (ready["state"], ready["reserved"]) == ("ready", {"host": GIB, "places": 1})
        row = (await served.client.get("/models")).json()["tiny-chat"]
        assert row["memory_bytes"] == GIB
        memory = (await served.client.get("/health")).json()["memory"]
        assert memory == {"budget": {"host": 2 * GIB}, "free": {"host": GIB}}


async def test_a_deep_check_is_one_greedy_token_through_the_models_queue(served: Served) -> None:
    await served.client.post("/models/tiny-chat/load")
    body = (await served.client.get("/models/tiny-chat/health?deep=1")).json()
    assert body["deep"]["seconds"] >= 0
    ((_, params),) = served.launcher.worker("tiny-chat").requests
    assert (params.max_tokens, params.temperature) == (1, 0)
    assert served.manager.status("tiny-chat").num_leases == 0


async def test_a_model_that_does_not_answer_in_time_fails_its_deep_check() -> None:
    async with serving(timing=StreamTiming(deep_check_s=0.01)) as served:
        served.launcher.model("tiny-chat").token_gate = asyncio.Event()
        await served.client.post("/models/tiny-chat/load")
        response = await served.client.get("/models/tiny-chat/health?deep=1")
        assert (response.status_code, response.json()["code"]) == (503, "wait_timeout")
        assert served.manager.status("tiny-chat").num_leases == 0
        assert not served.launcher.worker("tiny-chat").running


async def test_a_dead_model_fails_its_deep_check_and_is_not_started_again(served: Served) -> None:
    served.launcher.model("tiny-chat").token_gate = asyncio.Event()
    await served.client.post("/models/tiny-chat/load")
    check = asyncio.create_task(served.client.get("/models/tiny-chat/health?deep=1"))
    await until(lambda: len(served.launcher.worker("tiny-chat").running) == 1)
    served.launcher.worker("tiny-chat").crash()
    response = await check
    assert (response.status_code, response.json()["code"]) == (503, "engine_dead")
    await until(lambda: served.manager.status("tiny-chat").state is ModelState.UNLOADED)
    assert len(served.launcher.workers) == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "plan"), ("GET", "events"), ("GET", "health")],
)
async def test_an_unknown_model_is_a_404(served: Served, method: str, path: str) -> None:
    response = await served.client.request(method, f"/models/tiny-texd/{path}")
    assert (response.status_code, response.json()["code"]) == (404, "model_not_found")


def test_every_kind_of_note_state_and_basis_has_its_name_in_the_answers() -> None:
    kinds = set(get_args(get_type_hints(ModelEvent)["kind"]))
    assert kinds == {kind.value for kind in NoteKind} | {"progress"}
    assert set(get_args(get_type_hints(ModelHealth)["state"])) == {state.value for state in ModelState}
    assert set(get_args(get_type_hints(FootprintParts)["basis"])) == {basis.value for basis in FootprintBasis}
