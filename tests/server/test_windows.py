"""Counts of the last minute, in memory and in a real Redis."""

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest
from pydantic import SecretStr

from hostler.errors import ConfigError
from hostler.server.windows import REDIS_PAUSE_S, WINDOW_S, Left, Windows
from tests.server.conftest import serving
from tests.server.test_openai import CHAT


class Clock:
    """In place of the module `time` where it is counted in memory."""

    def __init__(self) -> None:
        self.now = 1_000_000 * WINDOW_S + 30.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("hostler.server.memory_windows.time", clock)
    return clock


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecretStr]:
    """A server of its own, on loopback, which keeps nothing."""
    program = which("redis-server")
    assert program is not None, "redis-server is needed: install Debian's package of that name"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder), "--daemonize", "no"]
    with subprocess.Popen([program, *options], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert any("eady to accept connections" in line for line in server.stdout)
        yield SecretStr(f"redis://127.0.0.1:{port}/0")
        server.terminate()
        server.stdout.read()


@pytest.fixture(params=["memory", "redis"])
def url(request: pytest.FixtureRequest) -> SecretStr | None:
    if request.param == "memory":
        return None
    url: SecretStr = request.getfixturevalue("redis_url")
    return url


async def test_what_is_taken_is_gone_and_what_is_not_there_is_not_taken(url: SecretStr | None) -> None:
    windows = Windows(url)
    who = f"who-{time.time_ns()}"
    assert (await windows.take(who, "tokens", 10, 6)).remaining == 4
    refused = await windows.take(who, "tokens", 10, 6)
    assert refused.remaining == 4
    assert 1 <= refused.retry_after_s <= 2 * WINDOW_S
    last = await windows.take(who, "tokens", 10, 4)
    assert (last.remaining, last.retry_after_s) == (0, 0.0)
    assert 0 < last.reset_s <= 2 * WINDOW_S
    assert (await windows.take(f"{who}-other", "tokens", 10, 10)).remaining == 0
    assert (await windows.take(who, "requests", 10, 1)).remaining == 9
    await windows.close()


async def test_what_is_added_counts_beyond_the_limit(url: SecretStr | None) -> None:
    windows = Windows(url)
    who = f"who-{time.time_ns()}"
    await windows.add(who, "tokens", 1000)
    refused = await windows.take(who, "tokens", 10, 1)
    assert refused.remaining == 0
    assert refused.retry_after_s > WINDOW_S / 2
    await windows.close()


@pytest.mark.parametrize("used", [2, 5, 10, 1000])
async def test_what_was_refused_is_free_when_it_was_said_to_be_and_no_earlier(clock: Clock, used: int) -> None:
    async def refused() -> tuple[Windows, Left]:
        windows = Windows(None)
        await windows.add("who", "tokens", used)
        clock.now += 20
        return windows, await windows.take("who", "tokens", 10, 10)

    start = clock.now
    windows, left = await refused()
    clock.now += left.retry_after_s + 0.01
    assert (await windows.take("who", "tokens", 10, 10)).retry_after_s == 0

    clock.now = start
    windows, left = await refused()
    clock.now += left.retry_after_s - 0.5
    assert (await windows.take("who", "tokens", 10, 10)).retry_after_s > 0


async def test_gateways_that_share_a_redis_share_their_counts(redis_url: SecretStr) -> None:
    url = redis_url.get_secret_value()
    settings = {"limits_redis_url": url, "address_requests_per_minute": 1}
    host = {"client_host": "10.9.8.7", "insecure_no_auth": True}
    async with serving(**settings, **host) as first, serving(**settings, **host) as second:  # type: ignore[arg-type]
        assert (await first.client.post("/v1/chat/completions", json=CHAT)).status_code == 200
        assert (await second.client.post("/v1/chat/completions", json=CHAT)).status_code == 429


async def test_a_redis_that_does_not_answer_holds_nobody_up(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        now = 0.0
        windows = Windows(SecretStr(f"redis://:pass-word@127.0.0.1:{closed.getsockname()[1]}/0"), clock=lambda: now)
        for remaining in (9, 8):
            assert (await windows.take("who", "requests", 10, 1)).remaining == remaining
        assert caplog.text.count("limits_redis_unreachable") == 1
        now = REDIS_PAUSE_S + 1
        assert (await windows.take("who", "requests", 10, 1)).remaining == 7
        assert caplog.text.count("limits_redis_unreachable") == 2
        assert "pass-word" not in caplog.text
        await windows.close()


@pytest.mark.parametrize("url", ["nonsense", "http://localhost", "redis://host:port/0"])
def test_a_url_that_is_none_of_a_redis_is_refused_at_the_start_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigError, match="LIMITS_REDIS_URL") as caught:
        Windows(SecretStr(url))
    assert url not in caught.value.message


def test_the_password_of_a_redis_does_not_belong_into_the_file(tmp_path: Path) -> None:
    from hostler.config import load_settings
    from hostler.yaml_file import read_yaml

    path = tmp_path / "models.yaml"
    path.write_text("settings:\n  limits_redis_url: redis://:secret@host/0\n")
    with pytest.raises(ConfigError, match="set LIMITS_REDIS_URL instead"):
        load_settings(read_yaml(path))
