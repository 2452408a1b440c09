"""What a scrape tells of the stable, parsed by Prometheus' own reader."""

import asyncio

import httpx2
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from hostler.errors import ModelLoadError
from hostler.memory import Estimate
from hostler.testing.estimator import footprint
from hostler.testing.model import FACTS
from tests.server.conftest import Served, serving
from tests.server.test_streaming import until

GIB = 2**30


async def scrape(client: httpx2.AsyncClient) -> dict[tuple[str, ...], float]:
    """Name and label values, in the order of the labels' names → value."""
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_a_load_tells_its_seconds_its_memory_and_how_good_the_estimate_was() -> None:
    estimates = {"tiny-chat": Estimate(footprint=footprint(2 * GIB))}
    async with serving(estimates=estimates, memory_budget=str(8 * GIB)) as served:
        served.launcher.model("tiny-chat").facts = msgspec.structs.replace(FACTS, host_bytes=GIB)
        await served.client.post("/models/tiny-chat/load")
        found = await scrape(served.client)
    assert found["hostler_memory_budget_bytes", "host"] == 8 * GIB
    assert found["hostler_model_memory_reserved_bytes", "tiny-chat", "host"] == GIB
    assert found["hostler_model_memory_measured_bytes", "tiny-chat", "host"] == GIB
    assert found["hostler_model_memory_estimate_ratio", "tiny-chat"] == 2
    assert found["hostler_model_load_seconds_count", "tiny-chat"] == 1
    assert (found["hostler_models", "ready"], found["hostler_models", "unloaded"]) == (1, 3)


async def test_who_leaves_is_counted_by_reason(served: Served) -> None:
    for model_id in ("tiny-chat", "tiny-text"):
        await served.client.post(f"/models/{model_id}/load")
    await served.client.post("/models/tiny-chat/unload")
    served.launcher.worker("tiny-text").crash()
    await until(lambda: not served.manager.loaded_ids())
    found = await scrape(served.client)
    assert found["hostler_model_departures_total", "tiny-chat", "unloaded"] == 1
    assert found["hostler_model_departures_total", "tiny-text", "died"] == 1


async def test_an_eviction_is_told_from_an_unload() -> None:
    async with serving(max_concurrent_models=1) as served:
        for model_id in ("tiny-chat", "tiny-text"):
            await served.client.post(f"/models/{model_id}/load")
        found = await scrape(served.client)
    assert found["hostler_model_departures_total", "tiny-chat", "evicted"] == 1


async def test_failed_loads_and_those_who_waited_for_them_are_counted(served: Served) -> None:
    model = served.launcher.model("tiny-chat")
    model.load_error = ModelLoadError("no such file")
    gate = model.load_gate = asyncio.Event()
    loads = [asyncio.create_task(served.client.post("/models/tiny-chat/load")) for _ in range(2)]
    await until(lambda: served.manager.status("tiny-chat").num_waiting == 2)
    found = await scrape(served.client)
    assert found["hostler_model_waiting_requests", "tiny-chat"] == 2
    assert found["hostler_models", "loading"] == 1
    gate.set()
    await asyncio.gather(*loads)
    assert (await scrape(served.client))["hostler_model_load_failures_total", "model_load_failed", "tiny-chat"] == 1


async def test_metrics_that_are_turned_off_are_not_found() -> None:
    async with serving(enable_metrics=False) as served:
        answer = await served.client.get("/metrics")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_metrics_need_the_key() -> None:
    async with serving(api_key="secret") as served:
        assert (await served.client.get("/metrics")).status_code == 401


async def test_a_request_is_counted_with_its_route_its_model_and_its_tokens(served: Served) -> None:
    body = {"model": "tiny-text", "prompt": "one two three", "max_tokens": 4}
    await served.client.post("/v1/completions", json=body)
    await served.client.post("/v1/completions", json={**body, "stream": True})
    found = await scrape(served.client)
    assert found["hostler_requests_total", "-", "POST", "tiny-text", "/v1/completions", "200"] == 2
    assert found["hostler_request_seconds_count", "/v1/completions"] == 2
    assert found["hostler_model_wait_seconds_count", "tiny-text"] == 2
    assert found["hostler_engine_queue_seconds_count", "tiny-text"] == 2
    assert found["hostler_time_to_first_token_seconds_count", "tiny-text"] == 2
    assert found["hostler_prompt_tokens_total", "-", "tiny-text"] == 6
    assert found["hostler_completion_tokens_total", "-", "tiny-text"] == 8
    assert found["hostler_cached_prompt_tokens_total", "tiny-text"] == 0
    assert found["hostler_inter_token_seconds_count", "tiny-text"] == 6
    assert found["hostler_inter_token_seconds_bucket", "+Inf", "tiny-text"] == 6


async def test_labels_do_not_grow_with_what_clients_send(served: Served) -> None:
    for name in ("nobody", "somebody"):
        await served.client.get(f"/models/{name}/info")
        await served.client.get(f"/{name}")
        await served.client.request(name, "/health")
    samples = [name for name in await scrape(served.client) if name[0] == "hostler_requests_total"]
    assert {sample[1:] for sample in samples} == {
        ("-", "GET", "-", "/models/{model_id:model}/info", "404"),
        ("-", "GET", "-", "-", "404"),
        ("-", "other", "-", "/health", "405"),
    }


async def test_a_request_that_is_being_answered_is_in_flight(served: Served) -> None:
    served.launcher.model("tiny-text").token_gate = gate = asyncio.Event()
    asked = asyncio.create_task(served.client.post("/models/tiny-text/generate", json={"text": "a"}))
    await until(lambda: served.manager.status("tiny-text").num_leases == 1)
    assert (await scrape(served.client))["hostler_requests_in_flight",] == 2  # and the scrape itself
    gate.set()
    await asked
    assert (await scrape(served.client))["hostler_requests_in_flight",] == 1


async def test_each_model_of_a_comparison_is_measured(served: Served) -> None:
    await served.client.post("/compare", json={"models": ["tiny-text", "tiny-chat"], "text": "a", "max_new_tokens": 2})
    found = await scrape(served.client)
    for model_id in ("tiny-text", "tiny-chat"):
        assert found["hostler_completion_tokens_total", "-", model_id] == 2
