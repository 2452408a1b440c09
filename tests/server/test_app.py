import asyncio

import pytest

from hostler.config import Settings
from hostler.errors import ModelLoadError
from hostler.testing.worker import FakeLauncher
from tests.server.conftest import make_app, serving
from tests.server.test_streaming import until


@pytest.mark.parametrize("name", ["nobody", "tiny-chat"])
async def test_a_default_model_that_cannot_be_loaded_is_a_warning(name: str, caplog: pytest.LogCaptureFixture) -> None:
    launcher = FakeLauncher()
    launcher.model("tiny-chat").load_error = ModelLoadError("no such file")
    app, _ = make_app(launcher, Settings(default_model=name))
    async with app.router.lifespan_context(app):
        await until(lambda: bool(app.state.services.is_ready))
    assert f"default_model_not_loaded model={name}" in caplog.text


async def test_the_application_starts_and_closes_its_manager() -> None:
    async with serving(default_model="tiny-chat") as served:
        served.launcher.model("tiny-chat").load_gate = asyncio.Event()
        await until(lambda: bool(served.launcher.workers))
        assert served.launcher.is_started
    assert served.launcher.is_closed
    assert served.launcher.alive == []
