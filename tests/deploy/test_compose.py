"""The compose files, as Docker Compose itself resolves them. It needs no engine for that."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from hostler.config import Settings
from tests.deploy.conftest import ROOT
from tests.deploy.dockerfile import read_dockerfile

COMPOSE = Path(sys.executable).with_name("docker-compose")
FILES = ("docker-compose.yml", "docker-compose.gpu.yml")
OLDER_VARIABLES = (
    *("WORKERS", "MODEL_CONFIG_PATH", "DEFAULT_MODEL", "TRANSFORMERS_CACHE", "HF_TOKEN", "HF_USERNAME", "API_KEY"),
    *("MAX_CONCURRENT_MODELS", "AUTO_UNLOAD_MINUTES", "CORS_ORIGINS", "ENABLE_METRICS", "LOG_LEVEL"),
)
"""Those of earlier deployments that a container takes. HOST and HF_HOME are the image's own; PORT is published."""
OTHER_NAMES = (
    *("auto_unload_minutes", "transformers_cache", "model_config_path"),
    *("cuda_visible_devices", "nvidia_visible_devices"),
)
"""What a container is given that is no setting's first name."""


def compose(file: str, folder: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), **variables}
    command = [
        str(COMPOSE),
        "--project-directory",
        str(folder),
        "-f",
        str(folder / file),
        "--profile",
        "with-proxy",
        "config",
    ]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A place of its own, with no other's `.env`."""
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def resolved(file: str, folder: Path, **variables: str) -> dict[str, Any]:
    done = compose(file, folder, variables)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    content: dict[str, Any] = yaml.safe_load(done.stdout)
    return content


@pytest.mark.parametrize("file", FILES)
def test_ports_are_published_on_loopback_until_another_address_is_named(file: str, folder: Path) -> None:
    for service in resolved(file, folder)["services"].values():
        assert [port["host_ip"] for port in service["ports"]] == ["127.0.0.1"]
    for service in resolved(file, folder, PUBLISH_ADDRESS="0.0.0.0", API_KEY="key")["services"].values():
        assert [port["host_ip"] for port in service["ports"]] == ["0.0.0.0"]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("key", [{}, {"API_KEY": ""}])
def test_nothing_is_opened_to_others_without_a_key(file: str, key: dict[str, str], folder: Path) -> None:
    done = compose(file, folder, {"PUBLISH_ADDRESS": "0.0.0.0", **key})
    assert done.returncode != 0
    assert "API_KEY is missing a value: set it, since PUBLISH_ADDRESS lets others reach this server" in done.stderr


@pytest.mark.parametrize("file", FILES)
def test_variables_of_older_deployments_reach_the_server(file: str, folder: Path) -> None:
    (folder / ".env").write_text("".join(f"{name}=value of {name}\n" for name in OLDER_VARIABLES))
    environment = resolved(file, folder, PORT="9000")["services"]["hostler"]["environment"]
    assert {name: environment[name] for name in OLDER_VARIABLES} == {
        name: f"value of {name}" for name in OLDER_VARIABLES
    }
    assert {name.lower() for name in environment} <= {*Settings.model_fields, *OTHER_NAMES}


@pytest.mark.parametrize("file", FILES)
def test_the_port_that_is_named_is_the_one_that_is_published(file: str, folder: Path) -> None:
    service = resolved(file, folder, PORT="9000")["services"]["hostler"]
    (port,) = service["ports"]
    image = read_dockerfile(ROOT / service["build"]["dockerfile"])[-1]
    assert (port["published"], str(port["target"])) == ("9000", image.environment["PORT"])
    assert "PORT" not in service["environment"]


@pytest.mark.parametrize("file", FILES)
def test_what_a_server_keeps_is_mounted_where_it_was_and_where_the_image_looks(file: str, folder: Path) -> None:
    service = resolved(file, folder, HF_CACHE="./cache", CONFIG_FOLDER="/etc/hostler")["services"]["hostler"]
    mounts = {mount["target"]: mount for mount in service["volumes"]}
    image = read_dockerfile(ROOT / service["build"]["dockerfile"])[-1]
    assert mounts["/app/.cache/huggingface"]["source"] == str(folder / "cache")
    assert (mounts["/app/app/config"]["source"], mounts["/app/app/config"]["read_only"]) == ("/etc/hostler", True)
    assert {image.environment["HF_HOME"], image.environment["HOSTLER_CACHE_DIR"]} <= set(mounts)
    assert service["read_only"]
    assert service["tmpfs"] == ["/tmp"]


@pytest.mark.parametrize("file", FILES)
def test_a_server_is_bounded_and_has_time_to_end(file: str, folder: Path) -> None:
    service = resolved(file, folder, MEMORY_LIMIT="2g")["services"]["hostler"]
    limit = int(service["deploy"]["resources"]["limits"]["memory"])
    assert limit == 2 * 2**30
    assert Settings().memory_budget.of(limit) < limit
    assert service["stop_grace_period"] == "1m0s"
    assert Settings.model_fields["shutdown_grace_s"].default + 15 <= 60
    assert service["cap_drop"] == ["ALL"]


def test_only_the_gpus_file_asks_for_gpus(folder: Path) -> None:
    cpu, gpu = (resolved(file, folder)["services"]["hostler"]["deploy"]["resources"] for file in FILES)
    assert "reservations" not in cpu
    (device,) = gpu["reservations"]["devices"]
    assert (device["driver"], device["capabilities"], device["count"]) == ("nvidia", ["gpu"], -1)


@pytest.mark.parametrize("file", FILES)
def test_the_proxy_alone_is_believed_and_leads_to_the_server(file: str, folder: Path) -> None:
    project = resolved(file, folder)
    server, proxy = project["services"]["hostler"], project["services"]["proxy"]
    proxy_address = proxy["networks"]["default"]["ipv4_address"]
    assert server["environment"]["FORWARDED_ALLOW_IPS"] == proxy_address
    mounted = {mount["target"]: Path(mount["source"]).relative_to(folder) for mount in proxy["volumes"]}
    upstream = (ROOT / mounted["/etc/nginx/hostler/upstream.conf"]).read_text()
    assert f"server {server['networks']['default']['ipv4_address']}:8000;" in upstream
    site = (ROOT / mounted["/etc/nginx/conf.d/default.conf"]).read_text()
    included = {f"/etc/nginx/{line.split()[1].rstrip(';')}" for line in site.splitlines() if "include " in line}
    assert included <= set(mounted)
    assert all((ROOT / path).is_file() for path in mounted.values())
    assert proxy["profiles"] == ["with-proxy"]
