"""The file of keys: their digests and what each allows, read by the server and written by `hostler keys`."""

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from hostler.errors import ConfigError
from hostler.keys import CallerLimits, Key, Scope
from hostler.suggestions import did_you_mean
from hostler.yaml_file import YamlFile, read_yaml

MAX_KEYS = 1000
"""Every request is compared with each of them: a tenth of a millisecond at most."""
KEY_OF_SETTING = "API_KEY"
"""The name that the key of the setting `api_key` goes by, in logs; none of a file has it."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HEAD = "# Written by `hostler keys`, which keeps no comments. It holds digests: no key can be told from it.\n"


def _in_utc(value: object) -> object:
    """YAML reads `2027-01-31` as a date, and a time without a zone as one of nowhere."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value


Positive = Annotated[int, Field(gt=0)]
Time = Annotated[AwareDatetime, BeforeValidator(_in_utc)]


class LimitsEntry(BaseModel):
    """Limits of a key; what is absent is as the server's settings have it."""

    model_config = ConfigDict(extra="forbid")

    requests_per_minute: Positive | None = None
    tokens_per_minute: Positive | None = None
    concurrent_requests: Positive | None = None
    queued_requests: Positive | None = None


class KeyEntry(BaseModel):
    """One key, as the file has it."""

    model_config = ConfigDict(extra="forbid")

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    scopes: Annotated[list[Scope], Field(min_length=1)]
    models: Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(min_length=1)] | None = None
    expires: Time | None = None
    created: Time | None = None
    weight: Annotated[float, Field(ge=0.01, le=100)] = 1.0
    limits: LimitsEntry = LimitsEntry()

    @model_validator(mode="after")
    def _sees_all_that_it_administers(self) -> "KeyEntry":
        if self.models is not None and Scope.ADMIN in self.scopes:
            raise ValueError("a key with the scope admin changes the server for all models; leave out models, or admin")
        return self

    def key(self, name: str) -> Key:
        return Key(
            name=name,
            digest=bytes.fromhex(self.sha256),
            scopes=frozenset(self.scopes),
            models=None if self.models is None else tuple(self.models),
            expires_at=None if self.expires is None else self.expires.timestamp(),
            created_at=None if self.created is None else self.created.timestamp(),
            limits=CallerLimits(**self.limits.model_dump()),
            weight=self.weight,
        )


def read_keys(path: Path) -> dict[str, Key]:
    """Keys by name.

    Raises:
        ConfigError: the file is absent or cannot be used; names file, line and key.
    """
    file = read_yaml(path, remedy="set KEYS_FILE to a file of keys, or leave it unset", sections="'keys:'")
    for key in file.content:
        if key != "keys":
            raise file.error((str(key),), "a file of keys has 'keys' and nothing else")
    entries = file.content.get("keys") or {}
    if not isinstance(entries, dict):
        raise file.error(("keys",), "must be a mapping of name to key")
    if len(entries) > MAX_KEYS:
        raise file.error(("keys",), f"has {len(entries)} keys, and {MAX_KEYS} are the most")
    return {str(name): _read_entry(file, str(name), entry) for name, entry in entries.items()}


def check_name(name: str) -> None:
    """
    Raises:
        ValueError: no key can be called so.
    """
    if name == KEY_OF_SETTING or not _NAME.fullmatch(name):
        raise ValueError(
            "a name has letters, digits, '.', '_' and '-' only, 64 at most, starts with a letter or a digit, and is"
            f" not {KEY_OF_SETTING}"
        )


@contextmanager
def changing(path: Path) -> Iterator[dict[str, Key]]:
    """The keys of a file, to be changed in place; written when the block ends without an error, all at once.

    One change waits for the other. A file that is absent is made, for its owner alone to read.

    Raises:
        ConfigError: as `read_keys`, or it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _locked(path.parent):
            keys = read_keys(path) if path.exists() else {}
            yield keys
            _write(path, keys)
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be written ({exc.strerror})") from exc


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The folder, rather than the file: that one is replaced by another while the lock is held."""
    try:
        import fcntl
    except ImportError:  # not made for Windows
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(path: Path, keys: Mapping[str, Key]) -> None:
    content = {"keys": {name: _entry(key) for name, key in keys.items()}}
    text = _HEAD + yaml.safe_dump(content, sort_keys=False)
    # Made readable for its owner alone, and complete before it has the name.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    written = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        written.replace(path)
    except BaseException:
        written.unlink(missing_ok=True)
        raise


def _entry(key: Key) -> dict[str, Any]:
    """
    Raises:
        ConfigError: what it allows contradicts itself.
    """
    try:
        return _validated(key).model_dump(mode="json", exclude_defaults=True)
    except ValidationError as exc:
        problem = exc.errors(include_url=False, include_input=False)[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(f"the key {key.name!r}: {problem}") from exc


def _validated(key: Key) -> KeyEntry:
    return KeyEntry(
        sha256=key.digest.hex(),
        scopes=sorted(key.scopes),
        models=None if key.models is None else list(key.models),
        expires=_time(key.expires_at),
        created=_time(key.created_at),
        weight=key.weight,
        limits=LimitsEntry(**vars(key.limits)),
    )


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).replace(microsecond=0)


def _read_entry(file: YamlFile, name: str, entry: Any) -> Key:
    at = ("keys", name)
    try:
        check_name(name)
    except ValueError as exc:
        raise file.error(at, str(exc)) from exc
    if not isinstance(entry, dict):
        raise file.error(at, "must be a mapping with sha256 and scopes")
    for field in entry:
        if str(field) not in KeyEntry.model_fields:
            raise file.error((*at, str(field)), f"is not known{did_you_mean(str(field), KeyEntry.model_fields)}")
    try:
        return KeyEntry.model_validate(entry).key(name)
    except ValidationError as exc:
        error = exc.errors(include_url=False, include_input=False)[0]
        where = tuple(part for part in error["loc"] if isinstance(part, str | int))
        raise file.error((*at, *where), error["msg"].removeprefix("Value error, ")) from exc
