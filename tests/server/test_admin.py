from pathlib import Path

from hostler.config import Settings
from hostler.errors import ConfigError
from hostler.registry import Registry, load_registry
from hostler.yaml_file import read_yaml
from tests.server.conftest import MODELS, Served, registry_of, serving


async def test_reload_takes_up_what_changed_and_leaves_the_rest() -> None:
    changed = {model_id: entry for model_id, entry in MODELS.items() if model_id != "tiny-gated"}
    changed |= {"tiny-text": MODELS["tiny-text"] | {"description": "new"}, "added": {"name": "x/y", "type": "code"}}
    async with serving(reload_registry=lambda: registry_of(changed, Settings())) as served:
        await served.client.post("/models/tiny-chat/load")
        body = (await served.client.post("/admin/reload-config")).json()
        assert body == {
            "message": "Configuration reloaded: 1 added, 1 removed, 1 changed, 2 as before",
            "added": ["added"],
            "removed": ["tiny-gated"],
            "changed": ["tiny-text"],
            "unchanged": ["tiny-chat", "other-text"],
        }
        assert served.manager.loaded_ids() == ["tiny-chat"]
        assert "added" in (await served.client.get("/models")).json()


async def test_a_file_that_cannot_be_used_changes_nothing_and_is_located(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text("models:\n  a:\n    name: x/y\n    type: poem\n")

    def reload_registry() -> Registry:
        return load_registry(read_yaml(path), Settings())

    async with serving(reload_registry=reload_registry) as served:
        response = await served.client.post("/admin/reload-config")
        assert (response.status_code, response.json()["code"]) == (400, ConfigError.code)
        assert "line 4: models.a.type" in response.json()["detail"]
        assert len((await served.client.get("/models")).json()) == 4


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
