import stat
import threading
from pathlib import Path

import pytest

from hostler.errors import ConfigError
from hostler.keys import CallerLimits, Key, Scope, digest_of
from hostler.keys_file import changing, read_keys

DIGEST = digest_of(b"secret").hex()


def key_named(name: str) -> Key:
    return Key(name=name, digest=digest_of(name.encode()), scopes=frozenset({Scope.READ}))


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "keys.yaml"
    path.write_text(text)
    return path


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "keys.yaml"
    key = Key(
        name="alice",
        digest=digest_of(b"secret"),
        scopes=frozenset({Scope.INFERENCE, Scope.READ}),
        models=("tiny-*",),
        expires_at=2e9,
        created_at=1e9,
        limits=CallerLimits(requests_per_minute=5, queued_requests=2),
        weight=2.5,
    )
    with changing(path) as keys:
        keys["alice"] = key
    with changing(path) as keys:
        keys["bob"] = key_named("bob")

    assert read_keys(path) == {"alice": key, "bob": key_named("bob")}


def test_the_file_is_for_its_owner_and_has_no_key_in_it(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    with changing(path) as keys:
        keys["alice"] = Key(name="alice", digest=digest_of(b"the-secret"), scopes=frozenset({Scope.READ}))

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"the-secret" not in path.read_bytes()
    assert [found.name for found in tmp_path.iterdir()] == ["keys.yaml"]


def test_changes_at_the_same_time_are_made_one_after_the_other(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"

    def add(name: str) -> None:
        with changing(path) as keys:
            keys[name] = key_named(name)

    threads = [threading.Thread(target=add, args=(f"key{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(read_keys(path)) == 8


def test_a_change_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    with changing(path) as keys:
        keys["alice"] = key_named("alice")
    before = path.read_bytes()

    contradiction = Key(name="eve", digest=b"x" * 32, scopes=frozenset({Scope.ADMIN}), models=("tiny",))
    with pytest.raises(ConfigError, match="the key 'eve': a key with the scope admin"), changing(path) as keys:
        keys["eve"] = contradiction

    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["keys.yaml"]


@pytest.mark.parametrize("written_as", ["2027-01-31", "'2027-01-31T00:00:00Z'", "2027-01-31 00:00:00"])
def test_an_end_is_a_date_or_a_time(tmp_path: Path, written_as: str) -> None:
    path = written(tmp_path, f"keys:\n  a: {{sha256: {DIGEST}, scopes: [read], expires: {written_as}}}\n")

    assert read_keys(path)["a"].expires_at == 1801353600.0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("models: {}\n", "line 1: models: a file of keys has 'keys' and nothing else"),
        ("keys: [1]\n", "line 1: keys: must be a mapping of name to key"),
        ("- 1\n", "the top level must be a mapping with 'keys:'"),
        (f"keys:\n  a b: {{sha256: {DIGEST}, scopes: [read]}}\n", "line 2: keys.a b: a name has letters"),
        (f"keys:\n  API_KEY: {{sha256: {DIGEST}, scopes: [read]}}\n", "is not API_KEY"),
        ("keys:\n  a: 1\n", "line 2: keys.a: must be a mapping with sha256 and scopes"),
        (f"keys:\n  a: {{sha256: {DIGEST}, scopes: []}}\n", "keys.a.scopes: List should have at least 1 item"),
        (f"keys:\n  a: {{sha256: {DIGEST}, scopes: [all]}}\n", "keys.a.scopes.0: Input should be 'inference'"),
        (f"keys:\n  a: {{sha256: {DIGEST}, scopes: [read], model: x}}\n", "keys.a.model: is not known"),
        ("keys:\n  a: {sha256: abc, scopes: [read]}\n", "keys.a.sha256: String should match"),
        (f"keys:\n  a:\n    sha256: {DIGEST}\n    scopes: [read]\n    weight: 0\n", "line 5: keys.a.weight"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_keys(written(tmp_path, text))

    assert problem in caught.value.message


def test_a_key_in_place_of_its_digest_is_refused_and_not_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_keys(written(tmp_path, "keys:\n  a: {sha256: hostler_my-secret, scopes: [read]}\n"))

    assert "my-secret" not in caught.value.message


def test_a_file_that_is_not_there_is_named_with_its_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read .*KEYS_FILE"):
        read_keys(tmp_path / "keys.yaml")


def test_more_keys_than_can_be_compared_in_time_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hostler.keys_file.MAX_KEYS", 3)
    entries = "".join(f"  k{number}: {{sha256: {DIGEST}, scopes: [read]}}\n" for number in range(4))
    with pytest.raises(ConfigError, match="has 4 keys, and 3 are the most"):
        read_keys(written(tmp_path, f"keys:\n{entries}"))
