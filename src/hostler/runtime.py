"""Runs a gateway on an address of its own until it is told to stop: what `hostler serve` does."""

import asyncio
import contextlib
import errno
import logging
import os
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from hostler import __version__
from hostler.config import Settings
from hostler.errors import ServiceError
from hostler.gateway import Configuration, Gateway, Occasions
from hostler.gateway_server import loop_factory
from hostler.start_summary import start_summary
from hostler.systemd import ServiceManager

logger = logging.getLogger(__name__)


def serve(config: Path | None, command_line: dict[str, Any], announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; streams then have `shutdown_grace_s` to finish, a second signal cuts them off.

    `announce` is given a short summary once requests are accepted. systemd, where it asks for it, is told more.

    Raises:
        ConfigError: the registry file or a setting cannot be used.
        ServiceError: the address cannot be listened on, or the engine is not installed.
    """
    service_manager = ServiceManager.from_environment(os.environ)
    configuration = Configuration.read(config, command_line)
    settings = configuration.settings
    with listen(settings.host, settings.port) as listener:
        gateway = Gateway.of(configuration)
        started = partial(_announce, gateway, listener, announce)
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(gateway.run([listener], _occasions(started, settings, service_manager)))
        gateway.close()


def _occasions(started: Callable[[], None], settings: Settings, service_manager: ServiceManager | None) -> Occasions:
    if service_manager is None:
        return Occasions(started)
    return Occasions(
        started,
        service_manager.ready,
        partial(service_manager.stopping, settings.shutdown_grace_s),
        service_manager.beat,
        service_manager.beat_every_s,
    )


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address, so that a port in use is known before anything else is started.

    Raises:
        ServiceError: the address cannot be had; says what to do.
    """
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # A name like localhost has two; clients that know only IPv4 are many, those that know only IPv6 are not.
        family, kind, protocol, _, address = min(addresses, key=lambda found: found[0] != socket.AF_INET)
        with contextlib.ExitStack() as on_failure:
            listener = on_failure.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            on_failure.pop_all()
            return listener
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            problem = f"port {port} of {host} is in use: stop what listens there, or choose another with --port or PORT"
        else:
            problem = f"cannot listen on {host} port {port} ({exc.strerror}): choose others with HOST and PORT"
        raise ServiceError(problem) from exc


def _announce(gateway: Gateway, listener: socket.socket, announce: Callable[[str], None]) -> None:
    settings, manager = gateway.configuration.settings, gateway.manager
    host, port = listener.getsockname()[:2]
    if settings.log_format == "human":
        announce(start_summary(settings, manager.registry, manager.budget, (host, port)))
    else:
        logger.info("serving host=%s port=%d num_models=%d version=%s", host, port, len(manager.registry), __version__)
