"""`hostler serve` as systemd starts it: what it tells when it is ready, while it runs, and when it stops."""

import socket
from collections.abc import Callable
from pathlib import Path

from hostler.config import SHIPPED_REGISTRY
from tests.e2e.server_process import END_TIMEOUT_S, ServerProcess

BEAT = ["WATCHDOG=1"]


def messages_until(listening: socket.socket, is_last: Callable[[list[str]], bool]) -> list[list[str]]:
    """Each as its lines."""
    told: list[list[str]] = []
    while not told or not is_last(told[-1]):
        told.append(listening.recv(4096).decode().split("\n"))
    return told


def test_the_service_manager_knows_when_it_is_ready_runs_and_stops(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(END_TIMEOUT_S)
        # The socket has room for ten messages: those of a start that takes seconds, which are read after it.
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000000"}
        with ServerProcess(SHIPPED_REGISTRY, tmp_path / "cache", tmp_path / "stderr.log", environment) as server:
            *starting, _ready = messages_until(listening, lambda told: told[0] == "READY=1")
            assert all(told == [*BEAT, "EXTEND_TIMEOUT_USEC=1500000"] for told in starting)
            assert messages_until(listening, lambda told: told == BEAT) == [BEAT]
            server.process.terminate()
            *_, stopping = messages_until(listening, lambda told: told[0] == "STOPPING=1")
            assert stopping[2] == "EXTEND_TIMEOUT_USEC=31500000"
            assert server.process.wait(END_TIMEOUT_S) == 0
