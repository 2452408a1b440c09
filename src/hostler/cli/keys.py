"""`hostler keys`: makes, lists and revokes the keys of a server. It need not run; one that runs takes changes up."""

import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from hostler.cli.completing import complete_model
from hostler.cli.failures import reports_errors
from hostler.cli.json_output import to_json, to_json_line
from hostler.cli.options import AsJson, RegistryOption
from hostler.errors import ConfigError, NotFoundError
from hostler.keys import CallerLimits, Key, Scope, digest_of, new_secret

KeysFile = Annotated[Path | None, typer.Option("--keys-file", help="File of keys.  [default: the server's keys_file]")]
Name = Annotated[str, typer.Argument(help="Name of the key, as logs and metrics show it.")]
PerMinute = Annotated[int | None, typer.Option(min=1)]

_USUAL_SCOPES = [Scope.INFERENCE, Scope.READ]
_TERM = re.compile(r"([1-9][0-9]{0,5})([dh])")
_UNIT_S = {"d": 86400, "h": 3600}

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def keys() -> None:
    """Make, list and revoke keys. A running server takes changes up within seconds."""


@app.command()
@reports_errors
def create(
    name: Name,
    scope: Annotated[list[Scope], typer.Option(help="What it is for; may be given again.")] = _USUAL_SCOPES,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Pattern of ids or Hugging Face names it may use, with * and ?; may be given again.",
            autocompletion=complete_model,
        ),
    ] = None,
    expires: Annotated[str | None, typer.Option(help="90d, 12h, or a date such as 2027-01-31.")] = None,
    requests_per_minute: PerMinute = None,
    tokens_per_minute: PerMinute = None,
    concurrent_requests: PerMinute = None,
    queued_requests: PerMinute = None,
    weight: Annotated[float, typer.Option(min=0.01, max=100, help="Its share of a busy model beside others.")] = 1.0,
    keys_file: KeysFile = None,
    config: RegistryOption = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it. It is shown this once: what is kept does not tell it."""
    from hostler.keys_file import changing, check_name

    try:
        check_name(name)
    except ValueError as exc:
        raise ConfigError(f"the name {name[:100]!r} cannot be used: {exc}") from exc
    secret = new_secret()
    limits = CallerLimits(requests_per_minute, tokens_per_minute, concurrent_requests, queued_requests)
    key = Key(
        name=name,
        digest=digest_of(secret.encode()),
        scopes=frozenset(scope),
        models=tuple(model) if model else None,
        expires_at=None if expires is None else _end_of(expires, time.time()),
        created_at=time.time(),
        limits=limits,
        weight=weight,
    )
    path = _path(keys_file, config)
    with changing(path) as present:
        if name in present:
            raise ConfigError(f"{path} has a key named {name!r}; revoke it first, or choose another name")
        present[name] = key
    if as_json:
        typer.echo(to_json({**_row(key), "key": secret}))
        return
    typer.echo(f"{name}: written to {path}; the key itself, which is shown this once:", err=True)
    typer.echo(secret)


@app.command("list")
@reports_errors
def list_keys(keys_file: KeysFile = None, config: RegistryOption = None, as_json: AsJson = False) -> None:
    """Say which keys there are, and what each is for."""
    from hostler.keys_file import read_keys

    path = _path(keys_file, config)
    rows = [_row(key) for key in read_keys(path).values()] if path.exists() else []
    if as_json:
        typer.echo(to_json(rows))
        return
    if not rows:
        typer.echo(f"no keys in {path}")
    for row in rows:
        facts = ", ".join(f"{fact} {_spell(value)}" for fact, value in row.items() if fact != "name" and value)
        typer.echo(f"{row['name']}: {facts}")


@app.command()
@reports_errors
def revoke(name: Name, keys_file: KeysFile = None, config: RegistryOption = None, as_json: AsJson = False) -> None:
    """Take a key away."""
    from hostler.keys_file import changing

    path = _path(keys_file, config)
    if not path.exists():
        raise NotFoundError(f"there is no file of keys at {path}")
    with changing(path) as present:
        if present.pop(name, None) is None:
            raise NotFoundError(f"{path} has no key named {name[:100]!r}; 'hostler keys list' names them")
    typer.echo(to_json_line({"name": name, "revoked": True}) if as_json else f"{name}: revoked")


def _path(keys_file: Path | None, config: Path | None) -> Path:
    if keys_file is not None:
        return keys_file.expanduser()
    from hostler.config import registry_path
    from hostler.registry import read_configuration

    settings, _ = read_configuration(registry_path(config), {"insecure_no_auth": True})
    return settings.keys_file


def _end_of(text: str, now: float) -> float:
    """Unix seconds.

    Raises:
        ConfigError: it is neither a term nor a date, or it is past.
    """
    if (match := _TERM.fullmatch(text.strip())) is not None:
        return now + int(match[1]) * _UNIT_S[match[2]]
    try:
        date = datetime.fromisoformat(text)
    except ValueError as exc:
        raise ConfigError(f"--expires should be such as 90d, 12h or 2027-01-31, not {text[:40]!r}") from exc
    end = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    if end <= now:
        raise ConfigError(f"--expires {text[:40]!r} is past")
    return end


def _row(key: Key) -> dict[str, object]:
    return {
        "name": key.name,
        "scopes": sorted(key.scopes),
        "models": None if key.models is None else list(key.models),
        "created": _date(key.created_at),
        "expires": _date(key.expires_at),
        "expired": key.expires_at is not None and key.expires_at <= time.time(),
        "weight": key.weight,
        "limits": {name: value for name, value in vars(key.limits).items() if value is not None},
    }


def _date(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _spell(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={number}" for name, number in value.items())
    return "+".join(value) if isinstance(value, list) else str(value)
