"""What a scrape tells of engines and their processes."""

import asyncio
import os

from hostler.engine_stats import EngineStats
from tests.server.conftest import Served
from tests.server.test_metrics import scrape

STATS = EngineStats(
    num_running=2,
    num_waiting=3,
    num_steps=10,
    num_step_sequences=25,
    num_step_tokens=70,
    step_seconds=1.5,
    num_preempted=1,
    cache_capacity_tokens=1024,
    cache_used_tokens=48,
    cache_kept_tokens=16,
)


async def test_every_loaded_model_tells_what_its_engine_has_done(served: Served) -> None:
    served.launcher.model("tiny-chat").stats = STATS
    await served.client.post("/models/tiny-chat/load")
    found = await scrape(served.client)
    told = {name[0]: value for name, value in found.items() if name[0].startswith("hostler_engine_")}
    assert told == {
        "hostler_engine_running_sequences": 2,
        "hostler_engine_waiting_sequences": 3,
        "hostler_engine_steps_total": 10,
        "hostler_engine_step_sequences_total": 25,
        "hostler_engine_step_tokens_total": 70,
        "hostler_engine_step_seconds_total": 1.5,
        "hostler_engine_preemptions_total": 1,
        "hostler_engine_cache_capacity_tokens": 1024,
        "hostler_engine_cache_used_tokens": 48,
        "hostler_engine_cache_kept_tokens": 16,
    }


async def test_the_memory_of_a_models_process_is_told(served: Served) -> None:
    await served.client.post("/models/tiny-chat/load")
    served.launcher.worker("tiny-chat").pid = os.getpid()
    assert (await scrape(served.client))["hostler_worker_memory_bytes", "tiny-chat"] > 2**20


async def test_a_model_that_does_not_answer_keeps_no_scrape_from_the_others(served: Served) -> None:
    for model_id in ("tiny-chat", "tiny-text"):
        await served.client.post(f"/models/{model_id}/load")
    served.launcher.model("tiny-text").stats_gate = asyncio.Event()
    found = await scrape(served.client)
    assert ("hostler_engine_steps_total", "tiny-chat") in found
    assert ("hostler_engine_steps_total", "tiny-text") not in found


async def test_a_model_that_has_left_is_told_of_no_more(served: Served) -> None:
    await served.client.post("/models/tiny-chat/load")
    await scrape(served.client)
    await served.client.post("/models/tiny-chat/unload")
    assert not [name for name in await scrape(served.client) if name[0].startswith("hostler_engine_")]
