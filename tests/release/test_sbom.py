"""The bill of materials of a server."""

import json
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from hostler import __version__
from tests.release.environments import make, run
from tests.release.test_locks import locked
from tests.release.test_metadata import ROOT, pins

pytestmark = [pytest.mark.long, pytest.mark.timeout(2400)]

VALIDATE = """
import sys
from pathlib import Path
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
sys.exit(JsonStrictValidator(SchemaVersion.V1_6).validate_str(Path(sys.argv[1]).read_text()) is not None)
"""


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sbom") / "dist"
    make("sbom", f"DIST={folder}")
    return folder / "hostler.cdx.json"


@pytest.fixture(scope="module")
def content(document: Path) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(document.read_text())
    return parsed


def test_the_document_follows_its_schema(document: Path) -> None:
    run(ROOT / ".venv-release" / "bin" / "python", "-c", VALIDATE, document)


def test_it_is_about_this_version(content: dict[str, Any]) -> None:
    about = content["metadata"]["component"]
    assert (about["name"], about["version"]) == ("hostler", __version__)


def test_it_names_every_package_of_a_server_with_its_version(content: dict[str, Any]) -> None:
    named: dict[str, str] = {canonicalize_name(each["name"]): each["version"] for each in content["components"]}
    for package, each in locked("server.txt").items():
        if each.marker is None or each.marker.evaluate():
            assert named[package] == str(each.version)
    assert named["torch"].split("+")[0] == str(pins()["torch"])


def test_every_component_can_be_looked_up_and_nearly_every_one_tells_its_licence(content: dict[str, Any]) -> None:
    assert all(each["purl"].startswith("pkg:pypi/") for each in content["components"] if each["name"] != "hostler")
    without = [each["name"] for each in content["components"] if not each.get("licenses")]
    assert len(without) <= 3, without


def test_it_says_what_needs_what(content: dict[str, Any]) -> None:
    needs = {each["ref"]: each.get("dependsOn", []) for each in content["dependencies"]}
    (own,) = [ref for ref in needs if ref == content["metadata"]["component"]["bom-ref"]]
    assert any("fastapi" in ref for ref in needs[own])


def test_no_path_of_the_machine_is_in_it(document: Path) -> None:
    assert str(document.parent.parent) not in document.read_text()
    assert str(ROOT) not in document.read_text()
