"""How a server trusts proxies, and how it drains."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from hostler.config import Settings
from hostler.errors import ShuttingDownError
from hostler.gateway_server import GatewayServer, drain, uvicorn_config
from hostler.lifecycle.manager import ModelManager
from hostler.server.draining import Drain
from hostler.testing.estimator import FakeEstimator, NoGpus
from hostler.testing.worker import FakeLauncher
from tests.server.conftest import MODELS, registry_of


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Never called."""


@pytest.mark.parametrize(("proxies", "believes"), [([], False), (["10.0.0.1"], True)])
def test_only_named_proxies_are_believed(monkeypatch: pytest.MonkeyPatch, proxies: list[str], believes: bool) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")  # which uvicorn would read by itself

    config = uvicorn_config(application, Settings(forwarded_allow_ips=proxies))

    assert config.proxy_headers is believes
    assert config.forwarded_allow_ips == proxies


async def test_the_first_signal_drains_and_the_second_hurries_it() -> None:
    hurried = asyncio.Event()

    async def wait(hurry: asyncio.Event) -> None:
        await hurry.wait()
        hurried.set()

    server = GatewayServer(uvicorn.Config(application, log_config=None), on_started=lambda: None, drain=wait)
    server.stop()
    assert not server.should_exit

    server.stop()
    await hurried.wait()
    await asyncio.sleep(0)
    assert (server.should_exit, server.force_exit) == (True, False)


async def test_who_is_told_to_stop_at_once_does_not_wait_for_a_second_signal() -> None:
    given: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def note(hurry: asyncio.Event) -> None:
        given.set_result(hurry.is_set())

    server = GatewayServer(uvicorn.Config(application, log_config=None), on_started=lambda: None, drain=note)
    server.stop_at_once()
    assert await given


@pytest.fixture
async def manager() -> AsyncIterator[ModelManager]:
    settings = Settings()
    manager = ModelManager(registry_of(MODELS, settings), settings, FakeLauncher(), FakeEstimator(), gpus=NoGpus())
    await manager.start()
    yield manager
    await manager.close()


async def test_a_drain_ends_with_the_last_request(manager: ModelManager) -> None:
    running = Drain()
    running.enter()
    draining = asyncio.create_task(drain(running, manager, 600, asyncio.Event()))
    await running.begun.wait()
    assert not draining.done()
    running.leave()
    await draining


async def test_a_request_that_waits_for_its_model_is_refused_when_the_drain_begins(manager: ModelManager) -> None:
    (await manager.acquire(manager.registry["tiny-chat"])).release()
    manager.drain()
    with pytest.raises(ShuttingDownError) as refused:
        await manager.acquire(manager.registry["tiny-text"])
    assert refused.value.retry_after_s


async def test_a_drain_whose_time_is_over_says_what_it_cut_off(
    manager: ModelManager, caplog: pytest.LogCaptureFixture
) -> None:
    running = Drain()
    running.enter()
    hurry = asyncio.Event()
    hurry.set()
    await drain(running, manager, 600, hurry)
    assert "requests_cut_off num_requests=1 hurried=True" in caplog.text
