"""The workflows: that they run what .ci/run runs, and may do no more than they need."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".github" / "workflows"
NAMES = sorted(path.name for path in FOLDER.glob("*.yml"))
WRITES = {"release.yml": {"attest": {"attestations", "id-token"}, "publish": {"id-token"}}}
"""Workflow → job → what it may change; nothing else may change anything."""


def workflow(name: str) -> dict[str, Any]:
    content: dict[Any, Any] = yaml.safe_load((FOLDER / name).read_text())
    # YAML 1.1 takes the key `on` for true.
    content["on"] = content.pop(True)
    return content


def steps(name: str) -> list[dict[str, Any]]:
    return [step for job in workflow(name)["jobs"].values() for step in job.get("steps", ())]


def commands(name: str) -> str:
    return "\n".join(step.get("run", "") for step in steps(name))


def test_there_is_one_for_changes_one_for_the_night_and_one_for_releases() -> None:
    assert NAMES == ["ci.yml", "nightly.yml", "release.yml"]


def test_a_change_runs_every_make_target_of_the_ci_script() -> None:
    wanted = re.findall(r"^make (.+)$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    assert "test" in wanted
    assert re.findall(r"^make (.+)$", commands("ci.yml"), re.MULTILINE) == wanted


def test_a_change_has_every_package_that_the_ci_script_installs() -> None:
    wanted = set(re.findall(r"missing\+=\(([\w-]+)\)", (ROOT / ".ci" / "run").read_text()))
    installed = set(re.findall(r"--no-install-recommends (.*)$", commands("ci.yml"), re.MULTILINE)[0].split())
    # The runners have make and a chromium.
    assert wanted - {"make", "chromium"} == installed


def test_the_night_runs_the_tests_that_take_minutes() -> None:
    assert "make test-long" in commands("nightly.yml").splitlines()


def test_every_target_that_is_run_is_in_the_makefile() -> None:
    makefiles = "\n".join((ROOT / name).read_text() for name in ("Makefile", "release.mk"))
    targets = set(re.findall(r"^([a-z-]+):", makefiles, re.MULTILINE))
    run = {target for name in NAMES for target in re.findall(r"^make ([a-z-]+)", commands(name), re.MULTILINE)}
    assert run
    assert run <= targets


def test_the_checks_run_on_every_python_that_is_supported() -> None:
    classifiers = "\n".join(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"])
    supported = re.findall(r"Python :: (3\.\d+)$", classifiers, re.MULTILINE)
    assert workflow("ci.yml")["jobs"]["test"]["strategy"]["matrix"]["python"] == supported


@pytest.mark.parametrize("name", NAMES)
def test_every_action_is_pinned_to_a_commit_whose_version_stands_beside_it(name: str) -> None:
    lines = [line for line in (FOLDER / name).read_text().splitlines() if "uses:" in line and "uses: ./" not in line]
    assert lines
    for line in lines:
        assert re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


def test_an_action_has_one_version_everywhere() -> None:
    used = {step["uses"] for name in NAMES for step in steps(name) if "uses" in step}
    assert len({action.split("@")[0] for action in used}) == len(used)


@pytest.mark.parametrize("name", NAMES)
def test_a_job_may_do_what_it_needs_and_no_more(name: str) -> None:
    content = workflow(name)
    assert content["permissions"] == {}
    for job_id, job in content["jobs"].items():
        writes = {what for what, level in job["permissions"].items() if level == "write"}
        assert writes == WRITES.get(name, {}).get(job_id, set())
        assert job["permissions"].get("contents", "read") == "read"


@pytest.mark.parametrize("name", NAMES)
def test_no_credentials_stay_in_a_checkout_and_none_are_read_from_secrets(name: str) -> None:
    checkouts = [step for step in steps(name) if step.get("uses", "").startswith("actions/checkout@")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)
    assert "secrets." not in (FOLDER / name).read_text()


@pytest.mark.parametrize("name", NAMES)
def test_nothing_that_others_can_write_becomes_part_of_a_command(name: str) -> None:
    assert "${{" not in commands(name)
    assert "pull_request_target" not in workflow(name)["on"]


@pytest.mark.parametrize("name", NAMES)
def test_every_job_ends_by_itself(name: str) -> None:
    jobs = [job for job in workflow(name)["jobs"].values() if "steps" in job]
    assert all(job["timeout-minutes"] <= 180 for job in jobs)


def test_a_release_is_checked_built_attested_and_published_in_that_order() -> None:
    jobs = workflow("release.yml")["jobs"]
    assert {name: job.get("needs") for name, job in jobs.items()} == {
        "checks": None,
        "build": "checks",
        "attest": "build",
        "publish": "attest",
    }
    # Whoever can publish runs no code of the repository.
    published = [step for step in jobs["publish"]["steps"] if "run" in step]
    assert [step["run"] for step in published] == ["mkdir dist && mv artifacts/*.whl artifacts/*.tar.gz dist/"]
