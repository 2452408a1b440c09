from collections.abc import AsyncIterator

import pytest

from hostler.config import Settings
from hostler.lifecycle.manager import ModelManager
from hostler.registry import ModelEntry, Registry
from hostler.testing.estimator import FakeEstimator, NoGpus
from hostler.testing.worker import FakeLauncher
from hostler.unlisted import UnlistedModels
from tests.test_reloading import entry_of

SETTINGS = Settings(allow_unlisted=True)


@pytest.fixture
async def manager() -> AsyncIterator[ModelManager]:
    manager = ModelManager(Registry({}), SETTINGS, FakeLauncher(), FakeEstimator(), gpus=NoGpus())
    await manager.start()
    yield manager
    await manager.close()


async def test_the_least_recently_named_model_that_is_not_in_memory_is_forgotten(manager: ModelManager) -> None:
    unlisted = UnlistedModels(manager, entry_of, max_models=2)

    async def name(repository: str) -> None:
        await unlisted.add(repository, lambda: unlisted.joined_to(Registry({}), SETTINGS))

    await name("a/loaded")
    lease = await manager.acquire(manager.registry["a--loaded"])
    await name("a/second")
    await name("a/third")
    assert list(manager.registry) == ["a--loaded", "a--third"]
    unlisted.touch("a--loaded")
    await name("a/fourth")
    assert list(manager.registry) == ["a--loaded", "a--fourth"]
    lease.release()


async def test_models_in_memory_are_kept_beyond_the_bound(manager: ModelManager) -> None:
    unlisted = UnlistedModels(manager, entry_of, max_models=1)
    leases = []
    for name in ("a/one", "a/two"):
        await unlisted.add(name, lambda: unlisted.joined_to(Registry({}), SETTINGS))
        leases.append(await manager.acquire(manager.registry.resolve(name)))
    assert list(manager.registry) == ["a--one", "a--two"]
    for lease in leases:
        lease.release()


async def test_a_repository_that_was_renamed_is_looked_up_once_by_its_old_name(manager: ModelManager) -> None:
    asked: list[str] = []

    def look_up(name: str) -> ModelEntry:
        asked.append(name)
        return entry_of("new/name")

    unlisted = UnlistedModels(manager, look_up)
    for name in ("old/name", "Old/Name"):
        assert await unlisted.add(name, lambda: unlisted.joined_to(Registry({}), SETTINGS)) == "new/name"
    assert asked == ["old/name"]
    unlisted.keep_only(Registry({}))
    manager.replace_registry(Registry({}))
    await unlisted.add("old/name", lambda: unlisted.joined_to(Registry({}), SETTINGS))
    assert asked == ["old/name", "old/name"]
