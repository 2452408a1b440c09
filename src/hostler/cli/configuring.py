"""`hostler config`: about the registry file. Imports what a command needs inside it."""

import json

import typer

app = typer.Typer(rich_markup_mode=None, help="About the registry file.", no_args_is_help=True)


@app.callback()
def config() -> None:
    """About the registry file."""


@app.command()
def schema() -> None:
    """Print the file's JSON Schema, by which editors complete and check it."""
    from hostler.cli.config_schema import config_schema

    typer.echo(json.dumps(config_schema(), indent=2, ensure_ascii=False))
