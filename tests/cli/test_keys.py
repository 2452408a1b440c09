import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hostler.cli.commands import app
from hostler.keys import Scope, digest_of
from hostler.keys_file import read_keys

runner = CliRunner()


def run(*arguments: str, path: Path) -> Result:
    return runner.invoke(app, ["keys", *arguments, "--keys-file", str(path)])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.yaml"


def test_a_key_is_printed_alone_and_what_is_kept_is_its_digest(path: Path) -> None:
    result = run("create", "alice", path=path)

    assert result.exit_code == 0
    secret = result.stdout.strip()
    assert re.fullmatch(r"hostler_[A-Za-z0-9_-]{43}", secret)
    key = read_keys(path)["alice"]
    assert key.digest == digest_of(secret.encode())
    assert key.scopes == {Scope.INFERENCE, Scope.READ}
    assert secret not in path.read_text()


def test_a_key_that_is_made_and_revoked_is_json_for_programs(path: Path) -> None:
    made = json.loads(run("create", "alice", "--json", path=path).stdout)

    assert read_keys(path)["alice"].digest == digest_of(made["key"].encode())
    assert (made["name"], made["scopes"]) == ("alice", ["inference", "read"])
    assert json.loads(run("revoke", "alice", "--json", path=path).stdout) == {"name": "alice", "revoked": True}


def test_a_key_is_made_as_it_is_asked_for(path: Path) -> None:
    options = ["--scope", "inference", "--model", "tiny-*", "--model", "acme/*", "--expires", "2100-01-01"]
    limits = ["--tokens-per-minute", "1000", "--concurrent-requests", "2", "--weight", "3"]
    assert run("create", "bob", *options, *limits, path=path).exit_code == 0

    (row,) = json.loads(run("list", "--json", path=path).stdout)
    del row["created"]
    assert row == {
        "name": "bob",
        "scopes": ["inference"],
        "models": ["tiny-*", "acme/*"],
        "expires": "2100-01-01T00:00:00+00:00",
        "expired": False,
        "weight": 3.0,
        "limits": {"tokens_per_minute": 1000, "concurrent_requests": 2},
    }
    assert "bob: scopes inference, models tiny-*+acme/*" in run("list", path=path).stdout


def test_a_revoked_key_is_gone_and_the_others_stay(path: Path) -> None:
    for name in ("alice", "bob"):
        run("create", name, path=path)

    assert run("revoke", "alice", path=path).stdout == "alice: revoked\n"

    assert list(read_keys(path)) == ["bob"]
    assert run("revoke", "alice", path=path).exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["a b"], "the name 'a b' cannot be used"),
        (["alice"], "has a key named 'alice'"),
        (["eve", "--scope", "admin", "--model", "x"], "leave out models, or admin"),
        (["eve", "--expires", "soon"], "--expires should be such as 90d"),
        (["eve", "--expires", "2001-01-01"], "is past"),
    ],
)
def test_what_cannot_be_made_is_told_in_one_line(path: Path, arguments: list[str], problem: str) -> None:
    run("create", "alice", path=path)
    before = path.read_text()

    result = run("create", *arguments, path=path)

    assert result.exit_code == 2
    assert problem in result.stderr
    assert result.stderr.count("\n") == 1
    assert path.read_text() == before


def test_the_file_is_the_servers_own_unless_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYS_FILE", str(tmp_path / "mine.yaml"))
    assert runner.invoke(app, ["keys", "list"]).stdout == f"no keys in {tmp_path}/mine.yaml\n"
    assert runner.invoke(app, ["keys", "create", "alice"]).exit_code == 0
    assert list(read_keys(tmp_path / "mine.yaml")) == ["alice"]
