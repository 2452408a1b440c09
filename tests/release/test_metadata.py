"""What the package says of itself: version, changelog, dependencies and their bounds."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from hostler import __version__

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
PUBLIC_EXTRAS = sorted(set(EXTRAS) - {"dev", "docs"})
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
KINDS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
"""Keep a Changelog's."""


def pins() -> dict[str, Version]:
    """Of constraints.txt: what the tests run with."""
    found = re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    return {canonicalize_name(name): Version(version) for name, version in found}


def declared(section: str | None = None) -> list[Requirement]:
    """Dependencies of the package, or of one of its extras; those on its own extras are left out."""
    texts = PROJECT["dependencies"] if section is None else EXTRAS[section]
    return [requirement for requirement in map(Requirement, texts) if requirement.name != "hostler"]


def test_the_version_is_semantic() -> None:
    assert re.fullmatch(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)((a|b|rc)\d+)?", __version__)


def test_the_newest_version_of_the_changelog_is_the_packages() -> None:
    first = re.search(r"^## \[(\d[^\]]*)\]", CHANGELOG, re.MULTILINE)
    assert first is not None
    assert first[1] == __version__


def test_the_changelog_begins_with_what_is_not_released_and_dates_the_rest_downwards() -> None:
    headings = re.findall(r"^## (.*)$", CHANGELOG, re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    released = [re.fullmatch(r"\[(\S+)\] - (\d{4}-\d{2}-\d{2})", heading) for heading in headings[1:]]
    found = [(Version(match[1]), match[2]) for match in released if match]
    assert len(found) == len(headings) - 1
    assert found == sorted(found, reverse=True)


def test_a_version_lists_each_kind_of_change_once_and_in_the_usual_order() -> None:
    for section in re.split(r"^## ", CHANGELOG, flags=re.MULTILINE)[1:]:
        kinds = re.findall(r"^### (.*)$", section, re.MULTILINE)
        assert kinds == [kind for kind in KINDS if kind in kinds]


@pytest.mark.parametrize("section", [None, *EXTRAS])
def test_every_dependency_has_a_lower_bound_and_a_pin_that_keeps_it(section: str | None) -> None:
    for requirement in declared(section):
        pin = pins()[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(pin), requirement
        assert requirement.name.startswith("types-") or ">=" in [bound.operator for bound in requirement.specifier]


def test_nothing_that_is_installed_with_the_package_has_an_upper_bound() -> None:
    """It would keep others from installing it beside what needs a newer one."""
    requirements = [requirement for section in (None, *PUBLIC_EXTRAS) for requirement in declared(section)]
    assert {bound.operator for requirement in requirements for bound in requirement.specifier} == {">="}


def test_all_is_every_extra_that_a_server_may_need() -> None:
    (everything,) = map(Requirement, EXTRAS["all"])
    assert everything.name == "hostler"
    assert sorted(everything.extras) == sorted(set(PUBLIC_EXTRAS) - {"all", "gpu"})


def test_the_pythons_that_are_named_are_those_that_are_allowed() -> None:
    named = re.findall(r"Python :: (3\.\d+)$", "\n".join(PROJECT["classifiers"]), re.MULTILINE)
    allowed = SpecifierSet(PROJECT["requires-python"])
    assert named == sorted(named, key=Version)
    assert all(allowed.contains(f"{version}.0") for version in named)
    assert not allowed.contains(f"3.{int(named[0].split('.')[1]) - 1}.99")
