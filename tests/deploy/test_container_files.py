"""What runs in a container besides the server."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from hostler.testing.worker import FakeLauncher
from tests.deploy.conftest import ROOT
from tests.deploy.nginx import gateway

DOCKER = ROOT / "deploy" / "docker"


@pytest.mark.parametrize(
    ("is_mounted", "named", "expected"),
    [
        (False, "", ""),
        (True, "", "{folder}/app/config/models.yaml"),
        (True, "/elsewhere.yaml", "/elsewhere.yaml"),
        (False, "/elsewhere.yaml", "/elsewhere.yaml"),
    ],
)
def test_a_mounted_registry_is_used_unless_another_is_named(
    tmp_path: Path, is_mounted: bool, named: str, expected: str
) -> None:
    (tmp_path / "app" / "config").mkdir(parents=True)
    if is_mounted:
        (tmp_path / "app" / "config" / "models.yaml").touch()
    command = ["sh", "-c", 'echo "$MODEL_CONFIG_PATH $1"', "-", "with space"]
    environment = {"PATH": "/usr/bin:/bin", "MODEL_CONFIG_PATH": named}
    told = subprocess.check_output([DOCKER / "entrypoint.sh", *command], cwd=tmp_path, env=environment, text=True)
    assert told == f"{expected.format(folder=tmp_path)} with space\n"


async def check_health(port: int) -> int | None:
    process = await asyncio.create_subprocess_exec(sys.executable, DOCKER / "healthcheck.py", env={"PORT": str(port)})
    return await process.wait()


async def test_a_container_is_healthy_once_its_default_model_is_loaded() -> None:
    launcher = FakeLauncher()
    loaded = launcher.model("tiny-chat").load_gate = asyncio.Event()
    async with gateway(launcher=launcher, default_model="tiny-chat") as running:
        assert await check_health(running.port) == 1
        loaded.set()
        await running.services.started.wait()
        assert await check_health(running.port) == 0
    assert await check_health(running.port) == 1
