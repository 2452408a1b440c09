import hmac
import logging
from pathlib import Path

import pytest

from hostler.config import Settings
from hostler.errors import ConfigError
from hostler.keys import Key, Scope, digest_of
from hostler.keys_file import changing
from hostler.server.keyring import MAX_SHOWN, Keyring


def add(path: Path, name: str, *, expires_at: float | None = None) -> None:
    with changing(path) as keys:
        scopes = frozenset({Scope.READ})
        keys[name] = Key(name=name, digest=digest_of(f"{name}-key".encode()), scopes=scopes, expires_at=expires_at)


def spoil(path: Path) -> None:
    path.write_text("keys: [")


def remove(path: Path) -> None:
    path.unlink()


def revoke(path: Path, name: str) -> None:
    with changing(path) as keys:
        del keys[name]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.yaml"


def name_of(keyring: Keyring, *secrets: bytes) -> str | None:
    key = keyring.find(secrets)
    return None if key is None else key.name


def test_the_key_of_the_setting_may_do_everything(path: Path) -> None:
    keyring = Keyring(Settings(api_key="s", keys_file=path))

    found = keyring.find([b"wrong", b"s"])

    assert found is not None
    assert (found.name, found.scopes, found.models) == ("API_KEY", frozenset(Scope), None)
    assert keyring.find([b"wrong"]) is None
    assert keyring.find([]) is None


async def test_keys_that_are_made_and_revoked_while_the_server_runs_are_taken_up(path: Path) -> None:
    keyring = Keyring(Settings(keys_file=path))
    assert not keyring.is_needed

    add(path, "alice")
    await keyring.reload()
    assert keyring.is_needed
    assert name_of(keyring, b"alice-key") == "alice"

    revoke(path, "alice")
    await keyring.reload()
    assert name_of(keyring, b"alice-key") is None


async def test_revoking_the_last_key_opens_nothing(path: Path) -> None:
    add(path, "alice")
    keyring = Keyring(Settings(keys_file=path))
    revoke(path, "alice")
    await keyring.reload()

    assert keyring.is_needed
    assert Keyring(Settings(keys_file=path)).is_needed


def test_a_key_ends_when_its_time_is_over(path: Path) -> None:
    now = 1000.0
    add(path, "alice", expires_at=1001.0)
    keyring = Keyring(Settings(keys_file=path), clock=lambda: now)
    assert name_of(keyring, b"alice-key") == "alice"

    now = 1001.0
    assert name_of(keyring, b"alice-key") is None


async def test_a_file_that_cannot_be_used_leaves_the_keys_as_they_were(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    add(path, "alice")
    keyring = Keyring(Settings(keys_file=path))
    spoil(path)
    with pytest.raises(ConfigError, match="line 1"):
        await keyring.reload()
    with caplog.at_level(logging.ERROR):
        await keyring.reload_and_log()
    assert "keys_refused" in caplog.text
    assert name_of(keyring, b"alice-key") == "alice"

    remove(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        await keyring.reload()
    assert name_of(keyring, b"alice-key") == "alice"


def test_a_server_does_not_start_with_a_file_of_keys_that_cannot_be_used(path: Path) -> None:
    path.write_text("keys: 1")
    with pytest.raises(ConfigError, match="must be a mapping"):
        Keyring(Settings(keys_file=path))


def test_no_more_keys_of_one_request_are_looked_at_than_it_may_have(path: Path) -> None:
    keyring = Keyring(Settings(api_key="s", keys_file=path))
    assert keyring.find([*[b"wrong"] * (MAX_SHOWN - 1), b"s"]) is not None
    assert keyring.find([*[b"wrong"] * MAX_SHOWN, b"s"]) is None


def test_a_key_is_compared_with_all_and_in_constant_time_whichever_it_is(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "second", "third"):
        add(path, name)
    keyring = Keyring(Settings(api_key="s", keys_file=path))
    compared: list[bytes] = []
    compare_digest = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return compare_digest(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for secret in (b"s", b"first-key", b"third-key", b"wrong"):
        keyring.find([secret])
    assert len(compared) == 4 * 4
    assert len(set(compared)) == 4
