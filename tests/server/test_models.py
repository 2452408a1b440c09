import asyncio
from datetime import UTC, datetime

import pytest

from hostler.errors import GatedModelError, ModelLoadError
from hostler.server.hub_account import HubAccount
from tests.server.conftest import Served, serving
from tests.server.test_streaming import until

ROW = {
    "name": "acme/Tiny-Chat",
    "type": "conversational",
    "size": "1M",
    "description": "for tests",
    "max_length": 1024,
    "suggested_temperature": 0.5,
    "gated": False,
    "loaded": False,
    "loading": False,
    "device": None,
    "last_used": None,
    "memory_bytes": 0,
    "pinned": False,
    "keep_alive": 1800,
    "state": "unloaded",
    "num_leases": 0,
    "num_waiting": 0,
    "reserved": {},
    "last_error": None,
}


async def test_the_list_has_every_model_by_id_in_the_order_of_the_file(served: Served) -> None:
    rows = (await served.client.get("/models")).json()
    assert list(rows) == ["tiny-chat", "tiny-text", "other-text", "tiny-gated"]
    assert rows["tiny-chat"] == ROW
    assert all(set(row) == set(ROW) for row in rows.values())


async def test_a_loading_and_a_loaded_model_say_so(served: Served) -> None:
    gate = served.launcher.model("tiny-chat").load_gate = asyncio.Event()
    load = asyncio.create_task(served.client.post("/models/tiny-chat/load"))
    await until(lambda: bool(served.launcher.workers))
    row = (await served.client.get("/models")).json()["tiny-chat"]
    assert (row["loaded"], row["loading"]) == (False, True)
    gate.set()
    await load
    row = (await served.client.get("/models")).json()["tiny-chat"]
    assert (row["loaded"], row["loading"], row["device"]) == (True, False, "cpu")
    used_at = datetime.fromisoformat(row["last_used"])
    assert used_at.tzinfo == UTC
    assert abs((datetime.now(UTC) - used_at).total_seconds()) < 60


async def test_a_row_says_how_long_the_last_request_wants_the_model_to_stay(served: Served) -> None:
    await served.client.post("/models/tiny-chat/load", json={"keep_alive": "5m"})
    assert (await served.client.get("/models")).json()["tiny-chat"]["keep_alive"] == 300
    await served.client.post("/models/tiny-chat/load", json={"keep_alive": -1})
    assert (await served.client.get("/models")).json()["tiny-chat"]["keep_alive"] == -1
    await served.client.post("/models/tiny-chat/unload")
    assert (await served.client.get("/models")).json()["tiny-chat"]["keep_alive"] == ROW["keep_alive"]


async def test_a_row_says_whether_a_load_has_pinned_the_model(served: Served) -> None:
    for pinned in (True, False, True):
        await served.client.post("/models/tiny-chat/load", json={"pinned": pinned})
        assert (await served.client.get("/models")).json()["tiny-chat"]["pinned"] is pinned
    await served.client.post("/models/tiny-chat/unload")
    assert (await served.client.get("/models")).json()["tiny-chat"]["pinned"] is False


async def test_a_row_has_what_a_model_holds_and_who_uses_and_awaits_it(served: Served) -> None:
    gate = served.launcher.model("tiny-chat").load_gate = asyncio.Event()
    load = asyncio.create_task(served.client.post("/models/tiny-chat/load"))
    await until(lambda: bool(served.launcher.workers))
    row = (await served.client.get("/models")).json()["tiny-chat"]
    assert (row["state"], row["num_waiting"], list(row["reserved"])) == ("loading", 1, ["host"])
    gate.set()
    await load
    with await served.manager.acquire(served.manager.registry["tiny-chat"]):
        row = (await served.client.get("/models")).json()["tiny-chat"]
    assert (row["state"], row["num_waiting"], row["num_leases"]) == ("ready", 0, 1)


async def test_a_row_says_why_the_last_load_failed(served: Served) -> None:
    served.launcher.model("tiny-chat").load_error = ModelLoadError("no such file")
    await served.client.post("/models/tiny-chat/load")
    row = (await served.client.get("/models")).json()["tiny-chat"]
    assert (row["state"], row["last_error"]) == ("failed", "no such file")


async def test_loading_and_unloading_answer_with_the_fields_of_the_contract(served: Served) -> None:
    load = await served.client.post("/models/acme%2FTiny-Chat/load", json={"force_reload": True})
    assert load.json() == {"message": "Model tiny-chat is loaded", "model_id": "tiny-chat", "force_reload": True}
    assert (await served.client.get("/models/loaded")).json() == {"loaded_models": ["tiny-chat"]}
    unload = await served.client.post("/models/tiny-chat/unload")
    assert unload.json() == {"message": "Model tiny-chat is unloaded"}
    again = await served.client.post("/models/tiny-chat/unload")
    assert (again.status_code, again.json()) == (200, {"message": "Model tiny-chat was not loaded"})
    assert (await served.client.get("/models/loaded")).json() == {"loaded_models": []}


async def test_force_reload_loads_again_and_its_absence_does_not(served: Served) -> None:
    await served.client.post("/models/tiny-chat/load")
    await served.client.post("/models/tiny-chat/load")
    assert len(served.launcher.workers) == 1
    await served.client.post("/models/tiny-chat/load", json={"force_reload": True})
    assert len(served.launcher.workers) == 2


@pytest.mark.parametrize("name", ["tiny-chat", "acme/Tiny-Chat", "acme%2FTiny-Chat", "ACME/tiny-chat"])
async def test_a_path_takes_an_id_or_a_hub_name(served: Served, name: str) -> None:
    assert (await served.client.get(f"/models/{name}/info")).json() == ROW | {"model_id": "tiny-chat"}


async def test_info_of_a_loaded_model_has_its_memory(served: Served) -> None:
    await served.client.post("/models/tiny-chat/load")
    info = (await served.client.get("/models/tiny-chat/info")).json()
    assert set(info) == {*ROW, "model_id", "memory_usage"}
    assert info["memory_usage"] == {
        "total_parameters": 1_000_000,
        "trainable_parameters": 1_000_000,
        "estimated_size_mb": 3.81,
    }


async def test_info_of_a_gated_model_says_where_to_ask(served: Served) -> None:
    info = (await served.client.get("/models/tiny-gated/info")).json()
    assert set(info) == {*ROW, "model_id", "auth_status", "access_url"}
    assert info["auth_status"] is False
    assert info["access_url"] == "https://huggingface.co/acme/Gated"


async def test_types_list_their_models_and_an_empty_type_is_a_404(served: Served) -> None:
    answer = await served.client.get("/models/types/text")
    assert answer.json() == {"model_type": "text", "models": ["tiny-text", "other-text"]}
    for missing in ("code", "poetry"):
        assert (await served.client.get(f"/models/types/{missing}")).status_code == 404


async def test_gated_models_are_listed_with_what_is_known_of_the_token() -> None:
    account = HubAccount(None)
    async with serving(hub_account=account) as served:
        body = (await served.client.get("/models/gated")).json()
        status = (await served.client.get("/auth/status")).json()
    assert set(body) == {"gated_models", "auth_status", "models_detail"}
    assert body["gated_models"] == ["tiny-gated"]
    assert set(body["models_detail"]["tiny-gated"]) == set(ROW)
    expected = {"has_token": False, "token_accepted": None, "gated_models_count": 1, "gated_models": ["tiny-gated"]}
    assert body["auth_status"] == status == expected


async def test_fixed_paths_are_not_taken_for_models(served: Served) -> None:
    assert "loaded_models" in (await served.client.get("/models/loaded")).json()
    assert "gated_models" in (await served.client.get("/models/gated")).json()
    assert "models" in (await served.client.get("/models/types/text")).json()
    for path in ("/models/loaded/info", "/models/types/text/info", "/models/a/b/c/info"):
        assert (await served.client.get(path)).status_code == 404
    assert (await served.client.get("/models/tiny-text/generate")).status_code == 405


@pytest.mark.parametrize("action", ["load", "unload", "generate", "chat"])
async def test_an_unknown_model_is_a_404_for_every_action(served: Served, action: str) -> None:
    response = await served.client.post(f"/models/tiny-texd/{action}", json={"text": "a", "message": "a"})
    assert (response.status_code, response.json()["code"]) == (404, "model_not_found")
    assert "tiny-text" in response.json()["detail"]


async def test_a_load_that_fails_is_a_503_and_a_gated_one_a_403(served: Served) -> None:
    served.launcher.model("tiny-text").load_error = ModelLoadError("the file is cut short")
    response = await served.client.post("/models/tiny-text/load")
    assert (response.status_code, response.json()["code"]) == (503, "model_load_failed")
    served.launcher.model("tiny-gated").load_error = GatedModelError("ask at https://huggingface.co/acme/Gated")
    response = await served.client.post("/models/tiny-gated/load")
    assert (response.status_code, response.json()["code"]) == (403, "gated_model")
    assert "https://huggingface.co/acme/Gated" in response.json()["detail"]
