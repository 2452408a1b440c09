"""Debian's nginx with the files of `deploy/nginx`, on a port of its own, in front of a gateway in this process."""

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Any

from hostler.config import Settings
from hostler.gateway_server import uvicorn_config
from hostler.server.services import Services
from hostler.server.streaming import StreamTiming
from hostler.testing.worker import FakeLauncher
from tests.deploy.conftest import ROOT
from tests.server.conftest import make_app
from tests.server.test_streaming import StartedServer

MAIN = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr notice;
worker_processes 1;
{user}
events {{}}
http {{
    access_log off;
    # As some have it for all sites: it holds back what comes in small pieces, unless a site's own file prevents that.
    gzip on;
    gzip_types text/event-stream;
    gzip_proxied any;
    gzip_min_length 0;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {site};
}}
"""


@dataclass
class Running:
    """A gateway over fake workers."""

    port: int
    launcher: FakeLauncher
    services: Services


@asynccontextmanager
async def gateway(
    timing: StreamTiming | None = None, launcher: FakeLauncher | None = None, **settings: Any
) -> AsyncIterator[Running]:
    launcher = launcher or FakeLauncher()
    config = Settings(**settings)
    app, _ = make_app(launcher, config, timing=timing)
    server = StartedServer(uvicorn_config(app, config))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await server.is_listening.wait()
        try:
            yield Running(listener.getsockname()[1], launcher, app.state.services)
        finally:
            server.should_exit = True
            await serving


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def nginx(folder: Path, changes: Mapping[str, str], site: str = "hostler.conf") -> Iterator[None]:
    """`changes`: texts of the files in `deploy/nginx`, each of which must be there, and what stands in their place."""
    program = which("nginx") or which("nginx", path="/usr/sbin")
    assert program is not None, "nginx is needed: install Debian's package of that name"
    main = folder / "nginx.conf"
    _copy_files(folder, changes)
    # Started by root, its workers would be nobody, who may not enter the folder.
    user = "user root;" if os.geteuid() == 0 else ""
    main.write_text(MAIN.format(folder=folder, site=site, user=user))
    with subprocess.Popen([program, "-c", main, "-e", "stderr"], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        told = []
        for line in process.stderr:
            told.append(line)
            if "start worker processes" in line:
                break
        else:
            raise AssertionError("nginx did not start:\n" + "".join(told))
        try:
            yield
        finally:
            process.terminate()
            process.stderr.read()


def _copy_files(folder: Path, changes: Mapping[str, str]) -> None:
    shutil.copytree(ROOT / "deploy" / "nginx", folder, dirs_exist_ok=True)
    missing = set(changes)
    for path in folder.rglob("*.conf"):
        text = path.read_text()
        for old, new in changes.items():
            if old in text:
                missing.discard(old)
                text = text.replace(old, new)
        path.write_text(text)
    assert not missing, f"deploy/nginx has no longer: {missing}"
