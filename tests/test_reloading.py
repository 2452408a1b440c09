"""What a reload takes up, refuses and keeps, over fake workers."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hostler.catalogue import read_catalogue
from hostler.config import Settings
from hostler.errors import ConfigError, ModelNotFoundError
from hostler.lifecycle.manager import ModelManager
from hostler.registry import ModelEntry, Registry
from hostler.reloading import Reloader
from hostler.testing.estimator import FakeEstimator, NoGpus
from hostler.testing.worker import FakeLauncher
from hostler.types import ModelType

REGISTRY = """
models:
  one: {{name: acme/one, type: text, size: 1M, description: d, max_length: 64}}
  {second}: {{name: acme/two, type: text, size: 1M, description: d, max_length: 64}}
settings: {{{settings}}}
"""


def entry_of(name: str) -> ModelEntry:
    return ModelEntry(
        name=name, type=ModelType.TEXT, size="1M", description="d", max_length=64, trust_remote_code=False
    )


class Stage:
    """A manager over a file that a test writes."""

    def __init__(self, path: Path, settings: str = "allow_unlisted: true") -> None:
        self.path = path
        self.write(settings=settings)
        self.settings, registry = read_catalogue(path)
        self.launcher = FakeLauncher()
        self.manager = ModelManager(registry, self.settings, self.launcher, FakeEstimator(), gpus=NoGpus())
        self.looked_up: list[str] = []
        self.reloader = Reloader(self.manager, self.settings, self.read, self.look_up)

    def write(self, second: str = "two", settings: str = "allow_unlisted: true") -> None:
        self.path.write_text(REGISTRY.format(second=second, settings=settings))

    def read(self) -> tuple[Settings, Registry]:
        return read_catalogue(self.path, None, self.settings)

    def look_up(self, name: str) -> ModelEntry:
        self.looked_up.append(name)
        if "nobody" in name:
            raise ModelNotFoundError(f"the hub has no {name}")
        return entry_of(name.removeprefix("old-"))


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path / "models.yaml")
    await stage.manager.start()
    yield stage
    await stage.manager.close()


async def test_a_reload_says_what_differs_and_what_needs_a_restart(stage: Stage) -> None:
    stage.write(second="three", settings="max_num_seqs: 7, port: 81, log_level: DEBUG")
    reload = await stage.reloader.reload()
    assert (reload.change.added, reload.change.removed, reload.change.changed) == (("three",), ("two",), ("one",))
    assert reload.differences == {"one": ("max_num_seqs",)}
    assert reload.restart_needed == ("port", "log_level")
    assert list(stage.manager.registry) == ["one", "three"]
    assert stage.manager.registry["one"].max_num_seqs == 7


async def test_a_restart_is_asked_for_until_it_has_happened(stage: Stage) -> None:
    stage.write(settings="port: 81")
    await stage.reloader.reload()
    assert (await stage.reloader.reload()).restart_needed == ("port",)


async def test_reloads_at_once_are_done_one_after_the_other(stage: Stage) -> None:
    lock = threading.Lock()

    def read() -> tuple[Settings, Registry]:
        assert lock.acquire(blocking=False), "two at once"
        try:
            return stage.read()
        finally:
            lock.release()

    reloader = Reloader(stage.manager, stage.settings, read, stage.look_up)
    await asyncio.gather(*(reloader.reload() for _ in range(5)))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("models:\n  one: {name: [}", "line 2: is not valid YAML"),
        ("models:\n  one:\n    nome: x/y", "line 3: models.one.nome: is not a key"),
        ("models: {}", "line 1: models: must be a mapping"),
    ],
)
async def test_an_unusable_file_changes_nothing_and_says_where_it_is_wrong(
    stage: Stage, content: str, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = stage.manager.registry
    stage.path.write_text(content)
    with pytest.raises(ConfigError, match=problem):
        await stage.reloader.reload()
    await stage.reloader.reload_and_log("SIGHUP")
    assert "reload_refused reason=SIGHUP" in caplog.text
    assert problem in caplog.text
    assert stage.manager.registry is before


async def test_a_reload_that_nobody_waits_for_is_logged(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    stage.write(second="three", settings="port: 81")
    await stage.reloader.reload_and_log("SIGHUP")
    assert "reloaded reason=SIGHUP models='1 added, 1 removed, 0 changed, 0 updated, 1 as before'" in caplog.text
    assert "restart_needed settings=port" in caplog.text


async def test_a_repository_that_a_request_names_is_served_and_stays_through_reloads(stage: Stage) -> None:
    spec = await stage.reloader.find("acme/new")
    assert (spec.id, spec.name, spec.trust_remote_code) == ("acme--new", "acme/new", False)
    lease = await stage.manager.acquire(spec)
    stage.write(second="three")
    await stage.reloader.reload()
    assert stage.manager.loaded_ids() == ["acme--new"]
    assert await stage.reloader.find("ACME/New") == spec
    assert await stage.reloader.find("acme--new") == spec
    assert stage.looked_up == ["acme/new"]
    lease.release()


async def test_callers_of_one_name_share_one_look_up(stage: Stage) -> None:
    specs = await asyncio.gather(*(stage.reloader.find(name) for name in ("a/b", "A/b", "a/b")))
    assert {spec.id for spec in specs} == {"a--b"}
    assert len(stage.looked_up) == 1


async def test_a_repository_known_by_another_name_is_the_model_that_is_registered(stage: Stage) -> None:
    assert (await stage.reloader.find("old-acme/one")).id == "one"
    assert list(stage.manager.registry) == ["one", "two"]


async def test_what_the_hub_does_not_have_is_not_found_and_not_remembered(stage: Stage) -> None:
    with pytest.raises(ModelNotFoundError, match="the hub has no acme/nobody"):
        await stage.reloader.find("acme/nobody")
    assert list(stage.manager.registry) == ["one", "two"]


@pytest.mark.parametrize(
    "name", ["gpt2", "../etc/passwd", "/etc/passwd", "a/b/c", "a/..", "a b/c", "x/" + "y" * 120, "~/x"]
)
async def test_what_is_no_repository_is_never_looked_up(stage: Stage, name: str) -> None:
    with pytest.raises(ModelNotFoundError):
        await stage.reloader.find(name)
    assert stage.looked_up == []


async def test_an_entry_in_the_file_takes_the_place_of_an_unlisted_model(stage: Stage) -> None:
    await stage.reloader.find("acme/three")
    stage.path.write_text(stage.path.read_text().replace("acme/two", "acme/three"))
    change = (await stage.reloader.reload()).change
    assert change.removed == ("acme--three",)
    assert (await stage.reloader.find("acme/three")).id == "two"


async def test_unlisted_models_leave_when_they_are_not_allowed_any_more(stage: Stage) -> None:
    await stage.reloader.find("acme/new")
    stage.write(settings="allow_unlisted: false")
    assert (await stage.reloader.reload()).change.removed == ("acme--new",)
    with pytest.raises(ModelNotFoundError, match="allow_unlisted: true would let"):
        await stage.reloader.find("acme/new")


async def test_a_dry_run_forgets_no_unlisted_model(stage: Stage) -> None:
    await stage.reloader.find("acme/new")
    stage.write(settings="allow_unlisted: false")
    assert (await stage.reloader.reload(dry_run=True)).change.removed == ("acme--new",)
    assert (await stage.reloader.find("acme/new")).id == "acme--new"
    assert stage.looked_up == ["acme/new"]
