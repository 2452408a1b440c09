import asyncio

import hostler
from hostler.accelerators import Gpu
from hostler.memory import DeviceMemory
from tests.server.conftest import Served, serving
from tests.server.test_streaming import until


async def test_the_root_says_where_to_go(served: Served) -> None:
    body = (await served.client.get("/")).json()
    assert set(body) == {"message", "version", "docs", "health"}
    assert (body["version"], body["docs"], body["health"]) == (hostler.__version__, "/docs", "/health")


async def test_health_has_the_fields_of_the_contract(served: Served) -> None:
    await served.client.post("/models/tiny-chat/load")
    body = (await served.client.get("/health")).json()
    assert set(body) == {
        *("status", "loaded_models", "current_model", "total_models_available", "system_info", "memory"),
        *("scopes", "key_name"),
    }
    assert (body["scopes"], body["key_name"]) == (["inference", "read", "admin"], None)
    assert (body["status"], body["loaded_models"], body["current_model"]) == ("healthy", ["tiny-chat"], "tiny-chat")
    assert body["total_models_available"] == 4
    assert set(body["system_info"]) == {"cuda_available", "memory_used_percent", "cuda_devices"}


async def test_system_has_the_fields_of_the_contract(served: Served) -> None:
    body = (await served.client.get("/system")).json()
    assert set(body) == {
        "python_version",
        "torch_version",
        "cuda_available",
        "cuda_device_count",
        "current_device",
        "cuda_devices",
        "cpu_count",
        "memory_total_gb",
        "memory_available_gb",
        "memory_used_percent",
    }
    assert body["memory_total_gb"] >= body["memory_available_gb"] > 0


async def test_device_memory_is_the_sum_over_all_models(served: Served) -> None:
    await until(lambda: served.services.is_ready)
    served.services.manager.gpus.visible = [Gpu("H100", f"GPU-{i}", 80 * 2**30, 79 * 2**30) for i in (1, 2)]
    held = DeviceMemory(device_id=1, allocated_bytes=2**20, reserved_bytes=3 * 2**20)
    for model_id in ("tiny-chat", "tiny-text"):
        served.launcher.model(model_id).devices = [held]
        await served.client.post(f"/models/{model_id}/load")
    body = (await served.client.get("/system")).json()
    assert (body["cuda_available"], body["cuda_device_count"], body["current_device"]) == (True, 2, 0)
    free = {"id": 0, "name": "H100", "memory_total_mb": 81920, "memory_allocated_mb": 0, "memory_cached_mb": 0}
    assert body["cuda_devices"] == [free, free | {"id": 1, "memory_allocated_mb": 2, "memory_cached_mb": 6}]


async def test_the_server_is_ready_once_its_default_model_is_loaded() -> None:
    async with serving(default_model="acme/Tiny-Chat") as served:
        gate = served.launcher.model("tiny-chat").load_gate = asyncio.Event()
        await until(lambda: bool(served.launcher.workers))
        starting = await served.client.get("/health/ready")
        assert (starting.status_code, starting.json()) == (503, {"status": "starting"})
        assert (await served.client.get("/health/live")).json() == {"status": "alive"}
        gate.set()
        await until(lambda: served.services.is_ready)
        ready = await served.client.get("/health/ready")
        assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
        assert served.manager.loaded_ids() == ["tiny-chat"]


async def test_the_server_is_not_ready_while_a_model_makes_no_step() -> None:
    async with serving(hang_timeout_s=0.2) as served:
        served.launcher.model("tiny-chat").seconds_since_step = 0.1
        await served.client.post("/models/tiny-chat/load")
        await until(lambda: served.manager.stuck_ids() == ["tiny-chat"])
        stuck = await served.client.get("/health/ready")
        assert (stuck.status_code, stuck.json()) == (503, {"status": "stuck"})
        served.launcher.model("tiny-chat").seconds_since_step = 0.0
        await until(lambda: not served.manager.stuck_ids())
        assert (await served.client.get("/health/ready")).status_code == 200


async def test_the_server_is_not_ready_while_a_model_does_not_even_say_whether_it_makes_steps() -> None:
    async with serving(hang_timeout_s=2.0) as served:
        gate = served.launcher.model("tiny-chat").heartbeat_gate = asyncio.Event()
        await served.client.post("/models/tiny-chat/load")
        await until(lambda: served.manager.stuck_ids() == ["tiny-chat"])
        assert (await served.client.get("/health/ready")).status_code == 503
        gate.set()
        await until(lambda: not served.manager.stuck_ids())
        assert served.manager.loaded_ids() == ["tiny-chat"]
