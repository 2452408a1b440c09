"""The locked dependencies: that they are whole, hashed, and those that the tests run with."""

import re
import tomllib
from importlib import metadata
from typing import Any, NamedTuple

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.release.test_metadata import EXTRAS, ROOT, declared, pins

LOCKS = ROOT / "locks"
(_ALL,) = map(Requirement, EXTRAS["all"])
SERVER_EXTRAS = tuple(sorted(_ALL.extras))
NAMES = sorted(path.name for path in LOCKS.glob("*.txt"))
NOT_LOCKED = {"torch"}
"""Its build, and so its hash, depends on the index it comes from; see docs/guides/air-gapped.md. `torch-cuda.txt` has
PyPI's."""


class Locked(NamedTuple):
    version: Version
    marker: Marker | None
    hashes: list[str]


def locked(name: str) -> dict[str, Locked]:
    """Package → its lines in a lock."""
    text = re.sub(r"^ *#.*\n", "", (LOCKS / name).read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found: dict[str, Locked] = {}
    for line in filter(None, text.splitlines()):
        words, *hashes = line.split("--hash=")
        requirement = Requirement(words.strip())
        (bound,) = requirement.specifier
        assert bound.operator == "=="
        assert canonicalize_name(requirement.name) not in found
        hashes = [each.strip() for each in hashes]
        found[canonicalize_name(requirement.name)] = Locked(Version(bound.version), requirement.marker, hashes)
    return found


def is_for_gpus(package: str) -> bool:
    return package == "triton" or (package.startswith(("cuda-", "nvidia-")) and package != "nvidia-ml-py")


def needed(roots: list[Requirement]) -> set[str]:
    """Everything that these bring along on this machine, as its installed packages say."""
    found: set[str] = set()
    waiting = [(requirement, "") for requirement in roots]
    while waiting:
        requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in NOT_LOCKED or (requirement.marker and not requirement.marker.evaluate({"extra": extra})):
            continue
        is_new = name not in found
        found.add(name)
        texts = metadata.requires(name) or [] if is_new or requirement.extras else []
        for text in texts:
            waiting += [(Requirement(text), each) for each in ("", *requirement.extras)]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_package_is_pinned_with_hashes_of_its_files(name: str) -> None:
    content = locked(name)
    assert content
    for package, each in content.items():
        assert each.hashes, package
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in each.hashes)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"release.txt"}))
def test_what_is_locked_is_what_the_tests_run_with(name: str) -> None:
    content, tested = locked(name), pins()
    assert {package: content[package].version for package in content if package in tested} == {
        package: tested[package] for package in content if package in tested
    }
    # What constraints.txt does not name is for other machines than those the tests run on.
    elsewhere = [each.marker for package, each in content.items() if package not in tested and not is_for_gpus(package)]
    assert all(marker is not None and not marker.evaluate() for marker in elsewhere)


@pytest.mark.parametrize(("name", "extras"), [("gateway.txt", ()), ("server.txt", SERVER_EXTRAS)])
def test_a_lock_holds_all_that_is_needed(name: str, extras: tuple[str, ...]) -> None:
    roots = [requirement for section in (None, *extras) for requirement in declared(section)]
    assert needed(roots) - set(locked(name)) == set()


def test_a_server_has_everything_of_the_gateway_at_the_same_version() -> None:
    gateway, server = locked("gateway.txt"), locked("server.txt")
    assert {package: server[package].version for package in gateway} == {
        package: each.version for package, each in gateway.items()
    }


def test_torch_and_what_its_builds_for_gpus_bring_are_in_a_lock_of_their_own() -> None:
    for name in set(NAMES) - {"torch-cuda.txt"}:
        packages = set(locked(name))
        assert not NOT_LOCKED & packages
        assert not list(filter(is_for_gpus, packages))
    assert set(locked("torch-cuda.txt")) >= NOT_LOCKED


def test_a_server_with_torch_for_gpus_has_one_version_of_everything() -> None:
    server, torch = locked("server.txt"), locked("torch-cuda.txt")
    assert {package: torch[package].version for package in torch if package in server} == {
        package: server[package].version for package in torch if package in server
    }


def test_the_tools_that_make_a_release_are_locked() -> None:
    groups: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    wanted = {canonicalize_name(Requirement(text).name) for text in groups["release"]}
    assert wanted <= set(locked("release.txt"))
