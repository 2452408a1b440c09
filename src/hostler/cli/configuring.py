"""`hostler config`: about the registry file. Imports what a command needs inside it."""

import typer

from hostler.cli.json_output import to_json
from hostler.cli.options import AlwaysJson

app = typer.Typer(rich_markup_mode=None, help="About the registry file.", no_args_is_help=True)


@app.callback()
def config() -> None:
    """About the registry file."""


@app.command()
def schema(as_json: AlwaysJson = True) -> None:  # noqa: ARG001
    """Print the file's JSON Schema, by which editors complete and check it."""
    from hostler.cli.config_schema import config_schema

    typer.echo(to_json(config_schema()))
