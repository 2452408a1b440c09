"""What the documents claim, checked against what there is."""

import re
from pathlib import Path

import pytest
from fastapi.routing import iter_route_contexts

from hostler.config import Settings
from hostler.errors import subclasses_by_code
from hostler.lifecycle.manager import ModelManager
from hostler.registry import ModelEntry, Registry, load_registry
from hostler.server import errors
from hostler.server.app import create_app
from hostler.telemetry.server_metrics import ServerMetrics
from hostler.testing.estimator import FakeEstimator
from hostler.testing.worker import FakeLauncher
from hostler.yaml_file import read_yaml

ROOT = Path(__file__).parent.parent
API = (ROOT / "docs" / "api.md").read_text()
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()


DOCUMENTS = sorted(path.relative_to(ROOT) for path in [*ROOT.glob("*.md"), *ROOT.glob("*/*.md")])


def yaml_blocks(document: str) -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)


def routes() -> set[str]:
    """`METHOD /path` of everything the application answers."""
    settings = Settings()
    registry = Registry({})
    manager = ModelManager(registry, settings, FakeLauncher(), FakeEstimator())
    app = create_app(manager, settings, read_catalogue=lambda: (settings, registry))
    return {
        f"{method} {str(context.path).replace(':model}', '}')}"
        for context in iter_route_contexts(app.routes)
        for method in context.methods or ()
    }


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented_in_a_row_of_its_own(name: str) -> None:
    assert len(re.findall(rf"^\| `{name}` \|", CONFIGURATION, re.MULTILINE)) == 1


@pytest.mark.parametrize("name", ["AUTO_UNLOAD_MINUTES", "TRANSFORMERS_CACHE", "MODEL_CONFIG_PATH", "HF_HOME"])
def test_every_variable_of_another_name_is_documented(name: str) -> None:
    assert f"`{name}`" in CONFIGURATION


def test_every_documented_setting_exists() -> None:
    documented = set(re.findall(r"^\| `([a-z_]+)` \|", CONFIGURATION, re.MULTILINE))

    assert documented == set(Settings.model_fields)


@pytest.mark.parametrize("name", ModelEntry.model_fields)
def test_every_key_of_an_entry_is_documented(name: str) -> None:
    assert re.search(rf"^    {name}:|`{name}`", CONFIGURATION, re.MULTILINE)


def test_every_documented_default_is_the_default() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| `?([^|`]+?)`? \| ", CONFIGURATION, re.MULTILINE)
    checked = {name: text for name, text in rows if isinstance(Settings.model_fields[name].default, int | float)}

    assert len(checked) > 15
    for name, text in checked.items():
        default = Settings.model_fields[name].default
        assert text == (str(default).lower() if isinstance(default, bool) else f"{default:.0f}"), name


def test_every_route_is_documented_and_every_documented_route_exists() -> None:
    documented = set(re.findall(r"`((?:GET|POST) /[^`]*)`", API))

    assert documented == {route for route in routes() if not route.startswith("HEAD ")}


@pytest.mark.parametrize("code", sorted(set(subclasses_by_code()) - {"invalid_request"}))
def test_every_error_is_documented_in_the_row_of_its_status(code: str) -> None:
    status = errors.TABLE[subclasses_by_code()[code]].status
    rows = [row for row in API.splitlines() if re.match(r"\| \d{3} ", row) and f"`{code}`" in row]

    assert code == "config_error" or len(rows) == 1
    assert any(row.startswith(f"| {status} |") for row in rows)


def test_every_metric_is_documented_and_every_documented_metric_exists() -> None:
    registry = ServerMetrics(ModelManager(Registry({}), Settings(), FakeLauncher(), FakeEstimator())).registry
    # The text format, and so the documentation, has counters with their suffix.
    served = {f"{family.name}_total" if family.type == "counter" else family.name for family in registry.collect()}
    documented = set(re.findall(r"^\| `(hostler_\w+)` \|", API, re.MULTILINE))
    assert documented == served


@pytest.mark.parametrize("document", ["README.md", "docs/configuration.md"])
def test_every_yaml_block_is_a_registry(document: str, tmp_path: Path) -> None:
    blocks = yaml_blocks(document)
    assert blocks

    for block in blocks:
        path = tmp_path / "models.yaml"
        path.write_text(block)
        assert len(load_registry(read_yaml(path), Settings())) == 1


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_to_a_file(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", (ROOT / document).read_text())

    assert [target for target in targets if not (ROOT / document.parent / target).exists()] == []


def test_every_client_is_documented_with_the_version_that_is_installed() -> None:
    clients = ROOT / "tests" / "clients"
    rows = re.findall(r"^\| [^|]+ \| [^|]+ \| ([^|]+) \| `([\w.]+)` \|$", API, re.MULTILINE)
    pins = "".join(
        path.read_text() for path in [*clients.glob("pins/*.txt"), clients / "pins" / "node" / "package.json"]
    )

    assert sorted(script for _, script in rows) == sorted(path.name for path in clients.glob("scripts/*.*"))
    for versions, script in rows:
        for version in re.findall(r"\d+\.[\d.]+", versions):
            assert re.search(rf"(==|: \"){re.escape(version)}(\"|$)", pins, re.MULTILINE), (script, version)
