"""Tells systemd, or whoever speaks its protocol (`sd_notify`), how the server does."""

import logging
import os
import socket
from collections.abc import MutableMapping
from typing import Self

logger = logging.getLogger(__name__)

START_BEAT_S = 10.0
"""Between two signs of life where nobody watches for them: a start takes as long as the load of a default model."""


class ServiceManager:
    """Messages to the socket that the manager has named. One that it does not take is logged and costs nothing else."""

    def __init__(self, address: str, watchdog_s: float | None = None) -> None:
        """`address`: a path, or `@` and an abstract name. `watchdog_s`: within which it wants a sign of life."""
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._is_watched = watchdog_s is not None
        self._is_ready = False
        self.beat_every_s = START_BEAT_S if watchdog_s is None else watchdog_s / 2

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str]) -> Self | None:
        """`None`: nobody wants to know. The variables are taken out: no process of a model speaks for the server."""
        address = environment.pop("NOTIFY_SOCKET", "")
        watchdog_us = environment.pop("WATCHDOG_USEC", "")
        watched_pid = environment.pop("WATCHDOG_PID", "")
        if not address:
            return None
        is_watched = watchdog_us.isdecimal() and int(watchdog_us) > 0 and watched_pid in ("", str(os.getpid()))
        return cls(address, int(watchdog_us) / 1e6 if is_watched else None)

    async def beat(self) -> None:
        """A sign of life. It is a coroutine, so that only an event loop that runs can give it."""
        messages = ["WATCHDOG=1"] if self._is_watched else []
        if not self._is_ready:
            messages.append(_more_time(3 * self.beat_every_s))
        if messages:
            self._send(*messages)

    def ready(self) -> None:
        self._is_ready = True
        self._send("READY=1", "STATUS=serving")

    def stopping(self, grace_s: float) -> None:
        """`grace_s`: in which requests may finish."""
        self._send("STOPPING=1", "STATUS=letting requests finish", _more_time(grace_s + 3 * self.beat_every_s))

    def _send(self, *assignments: str) -> None:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto("\n".join(assignments).encode(), self._address)
        except OSError as exc:
            logger.warning("service_manager_not_told state=%s error=%r", assignments[0], exc)


def _more_time(seconds: float) -> str:
    """The start, or the end, may take so much longer from now on."""
    return f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}"
