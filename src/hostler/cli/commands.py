"""The commands. What one needs is imported inside it, so that `--help` is instant."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from hostler import __version__
from hostler.cli import asking, configuring, diagnosing, keys, models
from hostler.cli.completing import complete_model
from hostler.cli.failures import EXIT_INTERRUPTED, reports_errors
from hostler.cli.json_output import to_json
from hostler.cli.options import AsJson, RegistryOption

app = typer.Typer(
    help="Keeps a stable of Hugging Face models behind one HTTP API.",
    no_args_is_help=True,
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
    models: Annotated[
        list[str],
        typer.Argument(help="Ids or Hugging Face names of registered models.", autocompletion=complete_model),
    ],
    to: Annotated[
        Path | None, typer.Option("--to", help="Put them into this folder besides, for a machine without a network.")
    ] = None,
    config: RegistryOption = None,
    as_json: AsJson = False,
) -> None:
    """Fetch models, and convert them where that is needed, so that their first load is quick.

    What is interrupted goes on where it ended when it is pulled again.
    """
    from dataclasses import asdict

    from hostler.cli import bundling
    from hostler.cli.consoles import plain_console
    from hostler.cli.pull_report import PullReport
    from hostler.cli.pulling import pull_models
    from hostler.models.bundle import refuse_foreign_folder

    console = plain_console()
    report = PullReport(console, is_quiet=as_json)
    try:
        if to is not None:
            refuse_foreign_folder(to)
        pulled = pull_models(models, config, report)
        if to is not None:
            bundling.put_into(to, models, config, None if as_json else console)
    except KeyboardInterrupt as exc:
        kept = f"{report.progress_text} are here, and the same command goes on from there"
        typer.echo(f"\nhostler: stopped; {kept}", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from exc
    if as_json:
        typer.echo(to_json([asdict(model) for model in pulled]))


@app.command()
@reports_errors
def version(as_json: AsJson = False) -> None:
    """Print the version."""
    if not as_json:
        typer.echo(__version__)
        return
    from hostler.cli.versions import versions

    typer.echo(to_json(versions()))
