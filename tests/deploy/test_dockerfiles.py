"""The images: what their files promise. `test_image_install.py` carries their steps out."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.conftest import ROOT
from tests.deploy.dockerfile import Stage, read_dockerfile

FILES = ("Dockerfile", "Dockerfile.gpu")
TORCH_BY_VERSION = (
    '/opt/hostler/bin/pip install -c constraints.txt --no-deps --only-binary :all: --index-url "${TORCH_INDEX}" torch'
)
HADOLINT = Path(sys.executable).with_name("hadolint")


@pytest.fixture(params=FILES)
def stages(request: pytest.FixtureRequest) -> list[Stage]:
    return read_dockerfile(ROOT / request.param)


@pytest.fixture
def final(stages: list[Stage]) -> Stage:
    return stages[-1]


def test_the_linter_has_nothing_to_say() -> None:
    done = subprocess.run([HADOLINT, "--failure-threshold", "style", *FILES], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_base_image_has_a_tag_of_a_version(stages: list[Stage]) -> None:
    assert len(stages) == 2
    for stage in stages:
        assert re.fullmatch(r"python:3\.\d+-slim-\w+", stage.image)


def installations(build: Stage) -> list[str]:
    """Commands of the stage by which pip fetches something."""
    commands = " && ".join(build.of("RUN")).split(" && ")
    return [command for command in commands if "pip install" in command and "dist/hostler-" not in command]


def test_every_file_that_is_fetched_has_a_digest_in_a_lock(stages: list[Stage]) -> None:
    by_lock = r"\S+/pip install --require-hashes --no-deps --only-binary :all: -r locks/([a-z-]+)\.txt"
    found = [re.fullmatch(by_lock, command) for command in installations(stages[0]) if command != TORCH_BY_VERSION]
    locks = [match[1] for match in found if match]
    assert len(locks) == len(found)
    assert {"server", "model", "build"} <= set(locks)


def test_torch_for_cpus_alone_is_held_to_a_version_and_comes_from_an_index_that_can_be_named() -> None:
    cpu, gpu = (read_dockerfile(ROOT / name)[0] for name in FILES)
    assert TORCH_BY_VERSION in installations(cpu)
    assert list(cpu.arguments) == ["TORCH_INDEX"]
    assert re.search(r"^torch==", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert TORCH_BY_VERSION not in installations(gpu)
    assert "torch-cuda.txt" in installations(gpu)[-2]


def test_nothing_is_compiled_and_nothing_installed_in_the_final_image(stages: list[Stage]) -> None:
    for stage in stages:
        assert not re.search(r"\b(apt-get|apk|gcc|make|curl|wget)\b", " ".join(stage.of("RUN")))
    assert not re.search(r"\bpip\b", " ".join(stages[-1].of("RUN")))
    assert all("--only-binary :all:" in command for command in installations(stages[0]))


def test_the_server_is_nobody_in_particular(final: Stage) -> None:
    assert final.of("USER") == ["10001:10001"]
    (created,) = final.of("RUN")
    assert "--uid 10001" in created
    assert "--gid 10001" in created
    kinds = [kind for kind, _ in final.instructions]
    assert max(i for i, kind in enumerate(kinds) if kind == "RUN") < kinds.index("USER")


def test_what_is_fetched_and_configured_lies_outside_of_the_image(final: Stage) -> None:
    (volumes,) = final.of("VOLUME")
    assert "/app/.cache/huggingface" in json.loads(volumes)
    assert final.environment["HF_HOME"] == "/app/.cache/huggingface"
    assert final.environment["HOSTLER_CACHE_DIR"] in json.loads(volumes)
    assert final.of("WORKDIR") == ["/app"]  # where the entrypoint looks for app/config/models.yaml
    assert "MODEL_CONFIG_PATH" not in final.environment


def test_every_file_that_is_copied_is_there_and_let_through(stages: list[Stage]) -> None:
    let_through = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    for stage in stages:
        for arguments in stage.of("COPY"):
            if arguments.startswith("--from="):
                continue
            for source in arguments.split()[:-1]:
                assert (ROOT / source).exists()
                assert any(source == each or source.startswith(f"{each}/") for each in let_through), source


def test_the_health_check_asks_the_port_that_is_served_and_needs_no_curl(final: Stage) -> None:
    (check,) = final.of("HEALTHCHECK")
    command = json.loads(check[check.index("[") :])
    assert command == ["python", "/usr/local/lib/hostler/healthcheck.py"]
    assert final.of("EXPOSE") == [final.environment["PORT"]]


def test_the_images_differ_in_torch_alone() -> None:
    cpu, gpu = (read_dockerfile(ROOT / name) for name in FILES)
    assert gpu[-1].environment.items() - cpu[-1].environment.items() == {
        ("NVIDIA_VISIBLE_DEVICES", "all"),
        ("NVIDIA_DRIVER_CAPABILITIES", "compute,utility"),
    }
    of_torch = re.compile(r"torch|TORCH_INDEX|constraints\.txt")
    without_torch = [
        [each for each in build.instructions if not of_torch.search(each[1])] for build in (cpu[0], gpu[0])
    ]
    assert without_torch[0] == without_torch[1]
