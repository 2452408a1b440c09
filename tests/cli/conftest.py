"""Commands without a process, and servers that answer from memory."""

import socket
from collections.abc import Callable
from typing import Any, Protocol

import httpx2
import pytest
from typer.testing import CliRunner, Result

from hostler.cli import servers
from hostler.cli.commands import app
from hostler.client import Hostler

Answer = Callable[[httpx2.Request], httpx2.Response]

ROW: dict[str, Any] = {
    "name": "org/a",
    "type": "conversational",
    "size": "1M",
    "description": "A",
    "max_length": 64,
    "suggested_temperature": 0.7,
    "gated": False,
    "loaded": True,
    "loading": False,
    "device": "cpu",
    "last_used": None,
    "memory_bytes": 3 * 2**20,
    "pinned": False,
    "keep_alive": 300.0,
    "state": "ready",
    "num_leases": 0,
    "num_waiting": 0,
    "reserved": {},
    "last_error": None,
}
"""Of a model in memory, as a server tells it."""


class Run(Protocol):
    """Runs `hostler` with these arguments; `typed` is piped in."""

    def __call__(self, *arguments: str, typed: str | None = None) -> Result: ...


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MODEL_CONFIG_PATH", "API_KEY", "HOST", "PORT", "HOSTLER_URL", "HOSTLER_API_KEY", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run() -> Run:
    def run_command(*arguments: str, typed: str | None = None) -> Result:
        return CliRunner().invoke(app, arguments, input=typed)

    return run_command


@pytest.fixture
def answer_with(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answer], None]:
    """Have every command reach a server that answers so."""

    def install(answer: Answer) -> None:
        def connect(url: str, api_key: str | None, timeout_s: float = 1.0) -> Hostler:
            transport = httpx2.MockTransport(answer)
            return Hostler(url, api_key=api_key, timeout_s=timeout_s, max_retries=0, transport=transport)

        monkeypatch.setattr(servers, "connect", connect)

    return install


@pytest.fixture
def closed_url() -> str:
    """Where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return f"http://127.0.0.1:{closed.getsockname()[1]}"
