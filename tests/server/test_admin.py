from pathlib import Path

from hostler.catalogue import read_catalogue
from hostler.config import Settings
from hostler.errors import ConfigError
from hostler.logs import log_level
from tests.server.conftest import MODELS, Served, registry_of, serving


async def test_reload_takes_up_what_changed_and_leaves_the_rest() -> None:
    changed = {model_id: entry for model_id, entry in MODELS.items() if model_id != "tiny-gated"}
    changed |= {
        "tiny-text": MODELS["tiny-text"] | {"description": "new"},
        "other-text": MODELS["other-text"] | {"torch_dtype": "float16"},
        "added": {"name": "x/y", "type": "code"},
    }
    async with serving(read_catalogue=lambda: (Settings(), registry_of(changed, Settings()))) as served:
        await served.client.post("/models/tiny-chat/load")
        body = (await served.client.post("/admin/reload-config")).json()
        assert body == {
            "message": "Configuration reloaded: 1 added, 1 removed, 1 changed, 1 updated, 1 as before",
            "dry_run": False,
            "added": ["added"],
            "removed": ["tiny-gated"],
            "changed": ["other-text"],
            "updated": ["tiny-text"],
            "unchanged": ["tiny-chat"],
            "differences": {"other-text": ["torch_dtype"], "tiny-text": ["description"]},
            "restart_needed": [],
        }
        assert served.manager.loaded_ids() == ["tiny-chat"]
        assert "added" in (await served.client.get("/models")).json()


async def test_a_file_that_cannot_be_used_changes_nothing_and_is_located(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text("models:\n  a:\n    name: x/y\n    type: poem\n")

    async with serving(read_catalogue=lambda: read_catalogue(path)) as served:
        response = await served.client.post("/admin/reload-config")
        assert (response.status_code, response.json()["code"]) == (400, ConfigError.code)
        assert "line 4: models.a.type" in response.json()["detail"]
        assert len((await served.client.get("/models")).json()) == 4


async def test_a_dry_run_tells_what_would_change_and_changes_nothing() -> None:
    changed = {"tiny-chat": MODELS["tiny-chat"] | {"max_num_seqs": 3, "size": "2M"}}
    read = Settings(port=8001, log_level="ERROR", max_num_seqs=5)
    async with serving(read_catalogue=lambda: (read, registry_of(changed, read))) as served:
        body = (await served.client.post("/admin/reload-config", params={"dry_run": 1})).json()
        assert body["message"] == (
            "Configuration would change: 0 added, 3 removed, 1 changed, 0 updated, 0 as before;"
            " takes effect after a restart: port, log_level"
        )
        assert body["differences"] == {"tiny-chat": ["size", "max_num_seqs"]}
        assert body["restart_needed"] == ["port", "log_level"]
        assert len((await served.client.get("/models")).json()) == 4
        response = await served.client.post("/admin/reload-config", params={"dry_run": "perhaps"})
        assert response.status_code == 422


async def test_clearing_device_memory_says_how_much(served: Served) -> None:
    served.launcher.model("tiny-chat").cached_bytes = 5 * 2**20
    await served.client.post("/models/tiny-chat/load")
    body = (await served.client.post("/admin/clear-gpu-memory")).json()
    assert body == {"message": "Freed 5.0 MB of cached device memory", "freed_mb": 5.0}


async def test_unload_all_names_what_left(served: Served) -> None:
    for model_id in ("tiny-chat", "tiny-text"):
        await served.client.post(f"/models/{model_id}/load")
    body = (await served.client.post("/admin/unload-all")).json()
    assert set(body) == {"message", "unloaded_models"}
    assert sorted(body["unloaded_models"]) == ["tiny-chat", "tiny-text"]
    assert served.manager.loaded_ids() == []


async def test_the_log_level_changes_in_the_gateway_and_in_the_workers(served: Served) -> None:
    previous = log_level()
    response = await served.client.post("/admin/log-level", json={"level": "DEBUG"})
    assert response.json() == {"message": "The log level is DEBUG", "level": "DEBUG", "previous": previous}
    assert (log_level(), served.launcher.log_level) == ("DEBUG", "DEBUG")


async def test_a_log_level_that_there_is_not_changes_nothing(served: Served) -> None:
    before = log_level()
    response = await served.client.post("/admin/log-level", json={"level": "LOUD"})
    assert response.status_code == 422
    assert "'DEBUG', 'INFO', 'WARNING' or 'ERROR'" in response.text
    assert (log_level(), served.launcher.log_level) == (before, None)
