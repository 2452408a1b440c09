"""What is said of Python, the packages and torch."""

import subprocess
from typing import Any

import pytest
from packaging.version import Version

from hostler.diagnosis import advisories, installation
from hostler.diagnosis.findings import Level

CPU: dict[str, Any] = {"cuda": None, "threads": 4, "devices": []}
GPU = {"cuda": "13.0", "threads": 4, "devices": [["H100", 80 * 2**30]]}


@pytest.mark.parametrize(
    ("said", "gpus", "level", "text"),
    [
        (CPU, [], Level.OK, "CPU, 4 threads"),
        (GPU, ["H100"], Level.OK, "H100 (80.0 GiB)"),
        (CPU, ["H100"], Level.WARNING, "has 1 GPUs (H100), and torch was built without CUDA"),
        (CPU | {"cuda": "13.0"}, ["H100"], Level.WARNING, "torch sees none of them"),
    ],
)
def test_gpus_that_torch_does_not_use_are_a_warning(
    said: dict[str, Any], gpus: list[str], level: Level, text: str
) -> None:
    (finding,) = installation.devices_of(said, gpus)
    assert finding.level is level
    assert text in finding.text


def test_an_engine_that_is_not_installed_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "installed", lambda package: None if package == "torch" else "1.0")
    (finding,) = installation.check_engine()
    assert (finding.level, finding.remedy) == (Level.PROBLEM, "Run pip install 'hostler[engine]'.")


def test_a_torch_that_cannot_be_imported_is_a_problem_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(command: list[str], **_: Any) -> None:
        raise subprocess.CalledProcessError(1, command, stderr="Traceback\nOSError: libcudart.so.13: not found\n")

    monkeypatch.setattr(subprocess, "run", broken)
    _, finding = installation.check_engine()
    assert finding.level is Level.PROBLEM
    assert "libcudart.so.13" in finding.text


def test_a_version_with_a_hole_is_a_problem_that_names_the_one_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advisories, "installed", lambda package: "5.2.0" if package == "transformers" else None)
    monkeypatch.setattr(installation, "installed", advisories.installed)
    (finding,) = installation.check_advisories()
    assert finding.level is Level.PROBLEM
    assert "transformers 5.2.0 has CVE-2026-4372" in finding.text
    assert finding.remedy == "Run pip install 'transformers>=5.3.0'."


def test_what_the_tests_run_with_has_none_of_the_holes() -> None:
    assert advisories.open_advisories() == []
    for advisory in advisories.ADVISORIES:
        assert str(Version(advisory.fixed_in)) == advisory.fixed_in
        assert advisory.id.startswith("CVE-")


def test_traces_that_are_asked_for_and_not_installed_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318"}
    assert [finding.text for finding in installation.check_tracing({})] == ["off"]
    assert [finding.text for finding in installation.check_tracing(asked)] == ["on"]
    monkeypatch.setattr(installation, "installed", lambda _: None)
    assert [finding.level for finding in installation.check_tracing(asked)] == [Level.WARNING]
