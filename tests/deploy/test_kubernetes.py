"""The manifests, against Kubernetes' own schemas and against what the server has."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from fastapi import FastAPI

from hostler import __version__
from hostler.config import Settings
from hostler.registry import load_registry
from hostler.testing.worker import FakeLauncher
from hostler.yaml_file import read_yaml
from tests.deploy.conftest import ROOT
from tests.deploy.dockerfile import read_dockerfile
from tests.server.conftest import make_app

FOLDER = ROOT / "deploy" / "kubernetes"
MANIFESTS = {
    path.name: yaml.safe_load(path.read_text())
    for path in sorted(FOLDER.glob("*.yaml"))
    if path.name != "kustomization.yaml"
}
VERSIONS = ("1.29", "1.34")
"""The oldest that is meant, and one of the newest."""

POD = MANIFESTS["deployment.yaml"]["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
ENVIRONMENT = {each["name"]: each for each in CONTAINER["env"]}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", MANIFESTS)
def test_every_manifest_is_what_kubernetes_takes(name: str, version: str) -> None:
    kubernetes_validate.validate(MANIFESTS[name], version, strict=True)


def test_a_field_that_kubernetes_does_not_know_is_noticed() -> None:
    wrong = {**MANIFESTS["service.yaml"], "specs": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


def test_every_manifest_but_the_secret_is_applied_together() -> None:
    listed = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == sorted(MANIFESTS.keys() - {"secret.yaml"})


def test_variables_are_settings() -> None:
    assert {name.lower() for name in ENVIRONMENT} <= set(Settings.model_fields)
    values = {name.lower(): each["value"] for name, each in ENVIRONMENT.items() if "value" in each}
    Settings.model_validate(values)


def test_the_end_has_more_time_than_requests_that_finish() -> None:
    pause_s = int(CONTAINER["lifecycle"]["preStop"]["exec"]["command"][1])
    grace_s = float(ENVIRONMENT["SHUTDOWN_GRACE_S"]["value"])
    assert POD["terminationGracePeriodSeconds"] >= pause_s + grace_s + 15


def test_probes_ask_routes_that_there_are() -> None:
    app, _ = make_app(FakeLauncher(), Settings())
    probed = {CONTAINER[f"{kind}Probe"]["httpGet"]["path"] for kind in ("liveness", "readiness")}
    assert probed == {"/health/live", "/health/ready"}
    assert probed <= paths_of(app)


def paths_of(app: FastAPI) -> set[str]:
    return set(app.openapi()["paths"])


def test_what_refers_to_another_finds_it() -> None:
    service, ingress = MANIFESTS["service.yaml"], MANIFESTS["ingress.yaml"]
    labels = MANIFESTS["deployment.yaml"]["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert {port["targetPort"] for port in service["spec"]["ports"]} <= {each["name"] for each in CONTAINER["ports"]}
    backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert backend == {"name": service["metadata"]["name"], "port": {"name": service["spec"]["ports"][0]["name"]}}
    assert ENVIRONMENT["API_KEY"]["valueFrom"]["secretKeyRef"]["key"] in MANIFESTS["secret.yaml"]["stringData"]
    volumes = {each["name"]: each for each in POD["volumes"]}
    assert {mount["name"] for mount in CONTAINER["volumeMounts"]} == set(volumes)
    assert volumes["cache"]["persistentVolumeClaim"]["claimName"] == MANIFESTS["cache.yaml"]["metadata"]["name"]
    assert volumes["registry"]["configMap"]["name"] == MANIFESTS["registry.yaml"]["metadata"]["name"]


def test_names_that_lead_to_the_server_are_names_that_it_answers_to() -> None:
    allowed = ENVIRONMENT["ALLOWED_HOSTS"]["value"].split(",")
    assert MANIFESTS["service.yaml"]["metadata"]["name"] in allowed
    assert {rule["host"] for rule in MANIFESTS["ingress.yaml"]["spec"]["rules"]} <= set(allowed)


def test_the_pod_runs_as_the_user_of_the_image_and_may_write_where_the_server_does() -> None:
    image = read_dockerfile(ROOT / "Dockerfile")[-1]
    context: dict[str, Any] = POD["securityContext"]
    assert image.of("USER") == [f"{context['runAsUser']}:{context['runAsGroup']}"]
    assert context["fsGroup"] == context["runAsGroup"]
    assert CONTAINER["securityContext"]["readOnlyRootFilesystem"]
    writable = [mount["mountPath"] for mount in CONTAINER["volumeMounts"] if not mount.get("readOnly")]
    for name in ("HF_HOME", "HOSTLER_CACHE_DIR"):
        assert any(image.environment[name].startswith(path) for path in writable)
    assert "/tmp" in writable
    assert CONTAINER["image"] == f"hostler:{__version__}"


def test_the_registry_is_one_and_holds_the_default_model(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text(MANIFESTS["registry.yaml"]["data"]["models.yaml"])
    registry = load_registry(read_yaml(path), Settings())
    assert ENVIRONMENT["DEFAULT_MODEL"]["value"] in registry
