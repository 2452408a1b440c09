"""`hostler check` and `hostler doctor`, as their users run them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hostler.cli import checking, doctor
from hostler.cli.commands import app
from hostler.cli.consoles import plain_console
from hostler.diagnosis.findings import Finding, problem, warning
from hostler.models.hub import HubAccess
from tests.fake_hub import FakeHub
from tests.models.test_preflight import SAFETENSORS, repository

ENTRY = "  {0}: {{name: owner/{0}, type: text, size: {1}, description: d, max_length: 128{2}}}\n"
FINDINGS = [
    Finding(topic="python", text="3.14"),
    warning("own cache", "Little room.", "Make some."),
    problem("port", "Port 80 is [in] use.", "Choose another."),
]


@pytest.fixture
def registry_file(tmp_path: Path) -> Path:
    repository(tmp_path / "model", SAFETENSORS)
    path = tmp_path / "models.yaml"
    path.write_text(
        "models:\n"
        + ENTRY.format("local", "1M", ", source: {folder: model}")
        + ENTRY.format("missing", "1M", ", source: {folder: nowhere}")
        + ENTRY.format("remote", "1M", "")
    )
    return path


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as fake:
        yield fake


def test_a_model_that_could_be_served_ends_well(registry_file: Path) -> None:
    done = CliRunner().invoke(app, ["check", "local", "--config", str(registry_file)])
    assert done.exit_code == 0
    heading, row = done.stdout.splitlines()
    assert heading.split() == ["id", "access", "revision", "weights", "code", "licence", "download", "needs"]
    assert row.split()[:7] == ["local", "yes", "-", "safetensors", "-", "-", "here"]


def test_a_model_that_could_not_be_served_ends_with_a_status_and_a_sentence(registry_file: Path) -> None:
    done = CliRunner().invoke(app, ["check", "local", "missing", "--config", str(registry_file)])
    assert done.exit_code == 1
    assert "problem  missing: model missing: its source folder does not exist" in done.stdout


def test_what_is_wrong_with_several_models_alike_is_told_once(
    registry_file: Path, tmp_path: Path, closed_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    registry_file.write_text("models:\n" + "".join(ENTRY.format(name, "1M", "") for name in ("one", "two", "three")))
    access = HubAccess(cache_dir=tmp_path / "cache", endpoint=closed_url)
    checking.print_report(checking.check_models(registry_file, [], access), plain_console())
    *_, first, rest = capsys.readouterr().out.splitlines()
    assert first.startswith("problem  one: owner/one is not complete in the cache, and the hub cannot be reached")
    assert rest == "problem  two, three: the same"


def test_an_unknown_model_is_an_error_with_the_nearest_names(registry_file: Path) -> None:
    done = CliRunner().invoke(app, ["check", "locla", "--config", str(registry_file)])
    assert done.exit_code == 1
    assert "local" in done.stderr


def test_a_file_in_the_place_of_a_model_is_told_its_own(registry_file: Path) -> None:
    done = CliRunner().invoke(app, ["check", str(registry_file)])
    assert done.exit_code == 2
    assert "a registry file is given with --config" in " ".join(done.stderr.split())


def test_the_json_form_has_all_that_is_known(registry_file: Path) -> None:
    done = CliRunner().invoke(app, ["check", "local", "--config", str(registry_file), "--json"])
    content = json.loads(done.stdout)["local"]
    assert content["formats"] == ["safetensors"]
    assert (content["is_here"], content["fits"], content["problems"]) == (True, True, [])
    assert content["needed_bytes"] > 0


def test_a_model_at_the_hub_is_checked_for_its_fit(
    registry_file: Path, tmp_path: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOSTLER_CACHE_DIR", str(tmp_path / "own"))
    config = {"num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 2, "vocab_size": 100}
    hub.add_repository("owner/remote", repository(tmp_path / "other", {"pytorch_model.bin": b"\0" * 2**20}, **config))
    access = HubAccess(cache_dir=tmp_path / "cache", endpoint=hub.url)
    (fits,) = checking.check_models(registry_file, ["remote"], access)
    assert (fits.fits, fits.problems) == (True, ())
    monkeypatch.setenv("MEMORY_BUDGET", "1MiB")
    (too_large,) = checking.check_models(registry_file, ["remote"], access)
    assert not too_large.fits
    assert "raise memory_budget" in too_large.problems[0]
    assert not [request for request in hub.requests if request.path.endswith(".bin")]


@pytest.mark.parametrize("as_json", [False, True])
def test_a_problem_gives_the_doctor_a_status(monkeypatch: pytest.MonkeyPatch, as_json: bool) -> None:
    monkeypatch.setattr(doctor, "examine_machine", lambda _: FINDINGS)
    done = CliRunner().invoke(app, ["doctor", *(["--json"] if as_json else [])])
    assert done.exit_code == 1
    if as_json:
        content = json.loads(done.stdout)
        assert content["is_well"] is False
        assert [finding["level"] for finding in content["findings"]] == ["ok", "warning", "problem"]
    else:
        for text in ("3.14", "Little room.", "Make some.", "Port 80 is [in] use.", "Choose another."):
            assert text in done.stdout


def test_warnings_alone_are_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "examine_machine", lambda _: FINDINGS[:2])
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 0


def test_the_whole_machine_is_examined_without_a_secret_in_the_answer(
    registry_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret0123456789")
    monkeypatch.setenv("API_KEY", "the-key-of-the-gate")
    monkeypatch.setenv("PORT", "0")
    monkeypatch.setattr(doctor, "ask_hub", lambda _: False)
    monkeypatch.setattr(doctor, "check_engine", lambda: [Finding(topic="engine", text="here")])
    findings = doctor.examine_machine(registry_file)
    topics = ["hostler", "python", "machine", "engine", "advisories", "tracing", "registry"]
    assert [finding.topic for finding in findings] == [
        *topics,
        *("access", "port", "hub cache", "own cache", "hub token"),
    ]
    assert doctor.has_problems(findings)
    for secret in ("hf_secret0123456789", "the-key-of-the-gate"):
        assert secret not in json.dumps(doctor.record(findings))


def test_the_screen_is_as_wide_as_it_has_to_be_where_it_is_no_terminal() -> None:
    assert plain_console().width == 200
