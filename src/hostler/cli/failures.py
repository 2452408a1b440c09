"""How a command that fails says so."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import typer

from hostler.errors import ConfigError, HostlerError

EXIT_FAILED = 1
EXIT_MISCONFIGURED = 2

Parameters = ParamSpec("Parameters")


def reports_errors(command: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """Let a command end with one line on stderr and a status instead of a traceback."""

    @wraps(command)
    def reporting(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (HostlerError, ConnectionError) as exc:
            typer.echo(f"hostler: {exc}", err=True)
            raise typer.Exit(EXIT_MISCONFIGURED if isinstance(exc, ConfigError) else EXIT_FAILED) from exc

    return reporting
