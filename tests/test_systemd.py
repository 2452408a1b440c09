"""What systemd is told, on a socket of the test's own."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hostler.gateway import keep_beating
from hostler.systemd import START_BEAT_S, ServiceManager


class Listening:
    """In place of systemd's socket."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.settimeout(10)

    def message(self) -> list[str]:
        """The next one, a line each."""
        return self._socket.recv(4096).decode().split("\n")

    def forget(self) -> None:
        """Read what has come."""
        self._socket.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                self._socket.recv(4096)

    def expect_nothing(self, within_s: float) -> None:
        self._socket.settimeout(within_s)
        with pytest.raises(TimeoutError):
            self._socket.recv(4096)
        self._socket.settimeout(10)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "notify")


@pytest.fixture
def listening(path: str) -> Iterator[Listening]:
    listening = Listening(path)
    yield listening
    listening.close()


def test_without_a_socket_nobody_is_told() -> None:
    assert ServiceManager.from_environment({"WATCHDOG_USEC": "1000000"}) is None


def test_processes_of_models_do_not_inherit_its_voice(path: str) -> None:
    environment = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "4000000", "WATCHDOG_PID": str(os.getpid()), "PATH": "/bin"}
    manager = ServiceManager.from_environment(environment)
    assert environment == {"PATH": "/bin"}
    assert manager is not None
    assert manager.beat_every_s == 2.0


@pytest.mark.parametrize(
    "watchdog", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "9", "WATCHDOG_PID": "1"}]
)
async def test_who_is_not_watched_gives_signs_of_life_while_it_starts_alone(
    watchdog: dict[str, str], path: str, listening: Listening
) -> None:
    manager = ServiceManager.from_environment({"NOTIFY_SOCKET": path} | watchdog)
    assert manager is not None
    assert manager.beat_every_s == START_BEAT_S
    await manager.beat()
    assert listening.message() == ["EXTEND_TIMEOUT_USEC=30000000"]
    manager.ready()
    assert listening.message()[0] == "READY=1"
    await manager.beat()
    manager.stopping(30)
    assert listening.message() == ["STOPPING=1", "STATUS=letting requests finish", "EXTEND_TIMEOUT_USEC=60000000"]


async def test_a_start_asks_for_more_time_until_it_is_over(path: str, listening: Listening) -> None:
    manager = ServiceManager(path, watchdog_s=20)
    await manager.beat()
    assert listening.message() == ["WATCHDOG=1", "EXTEND_TIMEOUT_USEC=30000000"]
    manager.ready()
    assert listening.message() == ["READY=1", "STATUS=serving"]
    await manager.beat()
    assert listening.message() == ["WATCHDOG=1"]


async def test_a_loop_that_stands_still_gives_no_sign_of_life(path: str, listening: Listening) -> None:
    manager = ServiceManager(path, watchdog_s=0.02)
    beating = asyncio.create_task(keep_beating(manager.beat, manager.beat_every_s))
    for _ in range(3):
        assert (await asyncio.to_thread(listening.message))[0] == "WATCHDOG=1"
    # From here on this test holds up the loop, and listens.
    listening.forget()
    listening.expect_nothing(within_s=0.2)
    beating.cancel()


def test_an_abstract_name_is_an_address_too() -> None:
    name = f"hostler-test-{os.getpid()}"
    listening = Listening(f"\0{name}")
    ServiceManager(f"@{name}").ready()
    assert listening.message()[0] == "READY=1"
    listening.close()


def test_a_socket_that_is_gone_costs_a_warning(path: str, caplog: pytest.LogCaptureFixture) -> None:
    ServiceManager(path).ready()
    assert "service_manager_not_told state=READY=1" in caplog.text
