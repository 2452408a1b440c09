"""The generated pages are as the code is, and say of each thing what it means."""

import re

import pytest
from docs_build import command_line, metrics
from docs_build.application import application, server_metrics
from docs_build.docstrings import field_docstrings
from docs_build.errors import classes
from docs_build.pages import PAGES
from fastapi.routing import iter_route_contexts
from prometheus_client import generate_latest

from hostler.config import ENVIRONMENT_ONLY, WITHOUT_EFFECT, Settings
from hostler.errors import subclasses_by_code
from hostler.protocol.native import GenerateRequest, NativeSampling
from hostler.registry import ModelEntry, SourceEntry
from hostler.server import errors
from tests.docs.blocks import ROOT

CONFIGURATION = (ROOT / "docs" / "reference" / "configuration.md").read_text()
COMMANDS = (ROOT / "docs" / "reference" / "cli.md").read_text()
ROUTES = (ROOT / "docs" / "reference" / "http.md").read_text()
METRICS = (ROOT / "docs" / "reference" / "metrics.md").read_text()
ERRORS = (ROOT / "docs" / "reference" / "errors.md").read_text()

WRITTEN = "\n".join(path.read_text() for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]


def row_of(page: str, name: str) -> list[str]:
    """The cells of the one row that begins with that name."""
    rows = [line for line in page.splitlines() if line.startswith(f"| `{name}` ")]
    assert len(rows) == 1, rows
    return cells(rows[0])


@pytest.mark.parametrize("page", PAGES)
def test_a_generated_page_is_as_the_code_is(page: str) -> None:
    assert (ROOT / page).read_text() == PAGES[page](), "run `make reference`"


@pytest.mark.parametrize("name", sorted(set(Settings.model_fields) - set(WITHOUT_EFFECT)))
def test_every_setting_has_a_default_and_a_meaning(name: str) -> None:
    settings = CONFIGURATION.partition("## Keys of a model")[0]
    names, default, values, meaning = row_of(settings, name.upper() if name in ENVIRONMENT_ONLY else name)

    assert f"`{name.upper()}`" in names
    assert default
    assert values
    assert len(meaning) > 5


@pytest.mark.parametrize("name", WITHOUT_EFFECT)
def test_a_setting_without_effect_says_what_takes_its_place(name: str) -> None:
    assert len(row_of(CONFIGURATION.partition("## Keys of a model")[0], name)[1]) > 5


@pytest.mark.parametrize("name", [*ModelEntry.model_fields, *SourceEntry.model_fields])
def test_every_key_of_an_entry_has_a_meaning(name: str) -> None:
    row = row_of(CONFIGURATION.partition("## Keys of a model")[2], name)

    assert all(len(cell) > 1 for cell in row)


@pytest.mark.parametrize("name", ["AUTO_UNLOAD_MINUTES", "TRANSFORMERS_CACHE", "MODEL_CONFIG_PATH", "HF_HOME"])
def test_every_variable_of_another_name_is_there(name: str) -> None:
    assert f"`{name}`" in CONFIGURATION


def test_every_command_is_there_with_its_help() -> None:
    documented = re.findall(r"^## (hostler .+)$", COMMANDS, re.MULTILINE)
    commands = dict(command_line.commands())

    assert documented == list(commands)
    assert all(command.help for command in commands.values())


def test_every_option_has_a_meaning() -> None:
    rows = [cells(line) for line in COMMANDS.splitlines() if line.startswith("| `")]

    assert len(rows) > 50
    assert [row for row in rows if len(row[1]) < 5] == []


def test_no_page_names_a_command_that_there_is_not() -> None:
    known = {path.removeprefix("hostler ").split(" ")[0] for path, _ in command_line.commands()}
    named = set(re.findall(r"(?:^|`)hostler ([a-z]+)\b", WRITTEN, re.MULTILINE))

    assert len(named) > 10
    assert named - known == set()


def test_every_route_is_there_and_every_route_that_is_there_exists() -> None:
    routes = {
        f"{method} {str(context.path).replace(':model}', '}')}"
        for context in iter_route_contexts(application().routes)
        for method in context.methods or ()
    }
    documented = set(re.findall(r"`((?:GET|POST) /[^`]*)`", ROUTES))

    assert documented == {route for route in routes if not route.startswith("HEAD ")}


def test_no_page_names_a_route_that_there_is_not() -> None:
    documented = set(re.findall(r"`(?:GET|POST) (/[^` ?]*)`", ROUTES))
    of_others = {"/load_model", "/reset"}
    named = {path for path in re.findall(r"`(?:GET|POST) (/[^`? ]*)[`?]", WRITTEN) if not path.endswith(("…", "/…/"))}

    assert named - documented - of_others == {"/v1/audio/transcriptions"}


def test_every_field_of_a_request_is_told_with_its_values() -> None:
    row = row_of(ROUTES.partition("### GenerateRequest")[2].partition("###")[0], "top_k")

    assert row[1:] == ["integer, ≥ 1, ≤ 100", "Default 50."]


def test_every_metric_is_there_with_its_meaning() -> None:
    served = set(re.findall(r"^# TYPE (\w+) ", generate_latest(server_metrics().registry).decode(), re.MULTILINE))
    documented = {row[0].strip("`") for row in map(cells, METRICS.splitlines()) if row and row[0].startswith("`")}

    assert documented == served
    assert all(len(tells) > 5 for _, _, _, tells in metrics.metrics())


def test_a_metric_has_the_labels_that_it_is_counted_by() -> None:
    assert row_of(METRICS, "hostler_requests_total")[2] == "`route`, `method`, `status`, `model`, `key`"
    assert row_of(METRICS, "hostler_inter_token_seconds")[2] == "`model`"
    assert row_of(METRICS, "hostler_memory_budget_bytes")[2] == "`resource`"


@pytest.mark.parametrize("code", sorted(subclasses_by_code()))
def test_every_error_is_there_with_its_status_and_a_meaning(code: str) -> None:
    cls = subclasses_by_code()[code]
    row = row_of(ERRORS, cls.__name__)

    assert row[1:3] == [f"`{code}`", str(errors.TABLE[cls].status)]
    assert len(row[-1]) > 5


def test_the_tree_has_every_class() -> None:
    tree = ERRORS.partition("```text")[2].partition("```")[0]

    assert {cls.__name__ for cls in classes()} == set(re.findall(r"\b(\w+Error)\b", tree))


def test_texts_under_the_fields_of_a_base_class_are_found() -> None:
    assert field_docstrings(GenerateRequest)["top_p"] == field_docstrings(NativeSampling)["top_p"] == "Default 0.9."
