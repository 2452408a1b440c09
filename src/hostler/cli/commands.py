"""The commands. What one needs is imported inside it, so that `--help` is instant."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from hostler import __version__
from hostler.cli import asking, configuring, diagnosing, keys, models
from hostler.cli.failures import reports_errors
from hostler.cli.models import Model, RegistryOption

app = typer.Typer(
    help="Keeps a stable of Hugging Face models behind one HTTP API.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

app.add_typer(models.app)
app.add_typer(configuring.app, name="config")
app.add_typer(keys.app, name="keys")
app.add_typer(diagnosing.app)
app.add_typer(asking.app)


class LogFormat(StrEnum):
    """How a line of the log is written."""

    HUMAN = "human"
    JSON = "json"


class LogLevel(StrEnum):
    """How much the server logs."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="hostler")


@app.command()
@reports_errors
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.  [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 for any.  [default: 8000]")] = None,
    config: RegistryOption = None,
    default_model: Annotated[str | None, typer.Option(help="Model to load at start.")] = None,
    log_level: Annotated[LogLevel | None, typer.Option(help="How much to log.  [default: info]")] = None,
    log_format: Annotated[LogFormat | None, typer.Option(help="How a line is written.  [default: human]")] = None,
    insecure_no_auth: Annotated[
        bool, typer.Option("--insecure-no-auth", help="Allow an address that others reach without any key.")
    ] = False,
) -> None:
    """Serve the models of the registry until told to stop."""
    from hostler import runtime

    command_line: dict[str, Any] = {
        "host": host,
        "port": port,
        "default_model": default_model,
        "log_level": log_level,
        "log_format": log_format,
        "insecure_no_auth": insecure_no_auth or None,
    }
    runtime.serve(config, command_line, announce=typer.echo)


@app.command()
@reports_errors
def pull(
    model: Model,
    config: RegistryOption = None,
) -> None:
    """Fetch a model, and convert it where that is needed, so that its first load is quick."""
    from hostler.cli.pulling import pull_model

    pull_model(model, config)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)
