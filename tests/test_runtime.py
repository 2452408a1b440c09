"""How a server is put together: its address, its summary, its trust in proxies. How it ends is shown end to end."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from hostler import runtime
from hostler.config import Settings
from hostler.errors import ServiceError, ShuttingDownError
from hostler.lifecycle.manager import ModelManager
from hostler.registry import Registry
from hostler.server.draining import Drain
from hostler.testing.estimator import FakeEstimator, NoGpus
from hostler.testing.worker import FakeLauncher
from tests.server.conftest import MODELS, registry_of


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Never called."""


def test_port_0_is_one_that_the_system_chose() -> None:
    with runtime.listen("127.0.0.1", 0) as listener:
        assert listener.getsockname()[1] > 0


def test_localhost_is_listened_on_by_its_ipv4_address() -> None:
    with runtime.listen("localhost", 0) as listener:
        assert listener.family is socket.AF_INET


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.1"])
def test_an_address_of_another_machine_is_refused_with_what_to_set(host: str) -> None:
    with pytest.raises(ServiceError, match=f"cannot listen on {host} port 8000 .*HOST and PORT"):
        runtime.listen(host, 8000)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ["0 registered, loaded on demand", "key     not needed (there is none)"]),
        ({"api_key": "s3cret", "default_model": "gpt2"}, ["loaded on demand; gpt2 is loaded now", "key     needed"]),
    ],
)
def test_the_summary_says_what_a_caller_has_to_know(settings: dict[str, Any], expected: list[str]) -> None:
    with runtime.listen("127.0.0.1", 0) as listener:
        summary = runtime.summary(Settings(**settings), Registry({}), listener)
        port = listener.getsockname()[1]

    assert f"http://127.0.0.1:{port}/docs" in summary
    assert all(text in summary for text in expected)
    assert "s3cret" not in summary


@pytest.mark.parametrize(("proxies", "believes"), [([], False), (["10.0.0.1"], True)])
def test_only_named_proxies_are_believed(monkeypatch: pytest.MonkeyPatch, proxies: list[str], believes: bool) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")  # which uvicorn would read by itself

    config = runtime.uvicorn_config(application, Settings(forwarded_allow_ips=proxies))

    assert config.proxy_headers is believes
    assert config.forwarded_allow_ips == proxies


async def test_the_first_signal_drains_and_the_second_hurries_it() -> None:
    hurried = asyncio.Event()

    async def drain(hurry: asyncio.Event) -> None:
        await hurry.wait()
        hurried.set()

    server = runtime.GatewayServer(uvicorn.Config(application, log_config=None), on_started=lambda: None, drain=drain)
    server.stop()
    assert not server.should_exit

    server.stop()
    await hurried.wait()
    await asyncio.sleep(0)
    assert (server.should_exit, server.force_exit) == (True, False)


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
    draining = asyncio.create_task(runtime.drain(running, manager, 600, asyncio.Event()))
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
    await runtime.drain(running, manager, 600, hurry)
    assert "requests_cut_off num_requests=1 hurried=True" in caplog.text
