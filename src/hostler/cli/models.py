"""Commands about the models of a server: what it has, what becomes of them. Imports what a command needs inside it."""

from pathlib import Path
from typing import Annotated

import typer

from hostler.cli.failures import reports_errors

DEFAULT_URL = "http://127.0.0.1:8000"

Url = Annotated[str, typer.Option("--url", envvar="HOSTLER_URL", help="Where the server is.")]
ApiKey = Annotated[
    str | None,
    typer.Option("--api-key", envvar=["HOSTLER_API_KEY", "API_KEY"], help="The server's key; better set the variable."),
]
RegistryOption = Annotated[
    Path | None, typer.Option("--config", help="Registry file.  [default: MODEL_CONFIG_PATH, else the shipped one]")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Model = Annotated[str, typer.Argument(help="Id or Hugging Face name of a registered model.")]

app = typer.Typer(rich_markup_mode=None)


@app.command()
@reports_errors
def models(
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    file: Annotated[bool, typer.Option("--file", help="List the registry file; no server is asked.")] = False,
    config: RegistryOption = None,
    as_json: AsJson = False,
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
def load(
    model: Model,
    keep_alive: Annotated[
        str | None, typer.Option(help="How long it stays without requests: seconds, 5m, 0, or -1 for ever.")
    ] = None,
    force_reload: Annotated[bool, typer.Option("--force-reload", help="Load it anew if it is loaded.")] = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Bring a model into memory and wait until it is ready."""
    from hostler.client import Hostler

    with Hostler(url, api_key=api_key) as server:
        typer.echo(server.load(model, force_reload=force_reload, keep_alive=keep_alive)["message"])


@app.command()
@reports_errors
def unload(
    model: Model,
    force: Annotated[bool, typer.Option("--force", help="Do not wait for its requests; they fail.")] = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Have a model leave memory once its requests are done."""
    from hostler.client import Hostler

    with Hostler(url, api_key=api_key) as server:
        typer.echo(server.unload(model, force=force)["message"])


@app.command()
@reports_errors
def plan(model: Model, url: Url = DEFAULT_URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Say what would happen if a model were asked for now, and why. Changes nothing."""
    from hostler.cli import explaining
    from hostler.client import Hostler

    with Hostler(url, api_key=api_key) as server:
        answer = server.plan(model)
    typer.echo(explaining.to_json(answer) if as_json else explaining.plan_lines(answer))


@app.command()
@reports_errors
def capabilities(model: Model, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """Print, as JSON, which values a model's parameters take, every limit, and what is known of it. Loads nothing."""
    from hostler.cli import explaining
    from hostler.client import Hostler

    with Hostler(url, api_key=api_key) as server:
        typer.echo(explaining.to_json(server.capabilities(model)))


@app.command()
@reports_errors
def events(
    model: Annotated[str | None, typer.Argument(help="One model alone.")] = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Tell what happened to the models and why, and go on as it happens, until interrupted."""
    from hostler.cli import explaining
    from hostler.client import Hostler

    with Hostler(url, api_key=api_key) as server, server.events(model) as stream:
        try:
            for event in stream:
                typer.echo(explaining.to_json_line(event) if as_json else explaining.event_line(event))
        except KeyboardInterrupt:
            return
