"""The commands. What one needs is imported inside it, so that `--help` is instant."""

from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec

import typer

from hostler import __version__
from hostler.errors import ConfigError, HostlerError

EXIT_FAILED = 1
EXIT_MISCONFIGURED = 2

Parameters = ParamSpec("Parameters")

app = typer.Typer(
    help="Keeps a stable of Hugging Face models behind one HTTP API.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

RegistryOption = Annotated[
    Path | None, typer.Option("--config", help="Registry file.  [default: MODEL_CONFIG_PATH, else the shipped one]")
]


class LogLevel(StrEnum):
    """How much the server logs."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="hostler")


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


@app.command()
@reports_errors
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.  [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 for any.  [default: 8000]")] = None,
    config: RegistryOption = None,
    default_model: Annotated[str | None, typer.Option(help="Model to load at start.")] = None,
    log_level: Annotated[LogLevel | None, typer.Option(help="How much to log.  [default: info]")] = None,
    insecure_no_auth: Annotated[
        bool, typer.Option("--insecure-no-auth", help="Allow an address that others reach without an API_KEY.")
    ] = False,
) -> None:
    """Serve the models of the registry until told to stop."""
    from hostler import runtime

    command_line: dict[str, Any] = {
        "host": host,
        "port": port,
        "default_model": default_model,
        "log_level": log_level,
        "insecure_no_auth": insecure_no_auth or None,
    }
    runtime.serve(config, command_line, announce=typer.echo)


@app.command()
@reports_errors
def models(
    url: Annotated[str, typer.Option(envvar="HOSTLER_URL", help="Where the server is.")] = "http://127.0.0.1:8000",
    api_key: Annotated[
        str | None,
        typer.Option(envvar=["HOSTLER_API_KEY", "API_KEY"], help="The server's key; better set the variable."),
    ] = None,
    file: Annotated[bool, typer.Option("--file", help="List the registry file; no server is asked.")] = False,
    config: RegistryOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the models of a running server, or of the registry file."""
    from hostler.cli import listing

    rows = listing.rows_of_file(config) if file else listing.rows_of_server(url, api_key)
    if as_json:
        typer.echo(listing.to_json(rows))
    else:
        listing.print_table(rows)


@app.command()
@reports_errors
def pull(
    model: Annotated[str, typer.Argument(help="Id or Hugging Face name of a registered model.")],
    config: RegistryOption = None,
) -> None:
    """Fetch a model, and convert it where that is needed, so that its first load is quick."""
    from hostler.cli.pulling import pull_model

    pull_model(model, config)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)
