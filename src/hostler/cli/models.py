"""Commands about the models of a server: what it has, what becomes of them. Imports what a command needs inside it."""

import contextlib
from enum import StrEnum
from typing import Annotated

import typer

from hostler.cli.completing import complete_model
from hostler.cli.failures import reports_errors
from hostler.cli.json_output import to_json, to_json_line
from hostler.cli.options import DEFAULT_URL, AlwaysJson, ApiKey, AsJson, Model, RegistryOption, Url

app = typer.Typer(rich_markup_mode=None)


class State(StrEnum):
    """How a model is."""

    UNLOADED = "unloaded"
    LOADING = "loading"
    READY = "ready"
    UNLOADING = "unloading"
    FAILED = "failed"


@app.command()
@reports_errors
def models(
    words: Annotated[
        list[str] | None, typer.Argument(help="Only models with all of these in id, name, type or description.")
    ] = None,
    state: Annotated[list[State] | None, typer.Option(help="Only models that are so; may be given again.")] = None,
    is_watched: Annotated[bool, typer.Option("--watch", "-w", help="Go on showing it, until interrupted.")] = False,
    interval: Annotated[float, typer.Option(min=0.2, help="Seconds from look to look, with --watch.")] = 1.0,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    file: Annotated[bool, typer.Option("--file", help="List the registry file; no server is asked.")] = False,
    config: RegistryOption = None,
    as_json: AsJson = False,
) -> None:
    """List the models of a running server, or of the registry file."""
    from hostler.cli import listing
    from hostler.cli.consoles import plain_console
    from hostler.cli.servers import LOOK_TIMEOUT_S, connect

    def choose(rows: listing.Rows) -> listing.Rows:
        return listing.chosen(rows, words or (), state or ())

    if is_watched and not file:
        from hostler.cli import watching

        with connect(url, api_key, LOOK_TIMEOUT_S) as server, contextlib.suppress(KeyboardInterrupt):
            view = watching.StableView(server, choose)
            watching.watch(view, plain_console(), interval_s=interval, as_json=as_json)
        return
    if file:
        rows = choose(listing.rows_of_file(config))
    else:
        with connect(url, api_key, LOOK_TIMEOUT_S) as server:
            rows = choose(server.models())
    if as_json:
        typer.echo(to_json(rows))
    else:
        listing.print_table(rows, plain_console())


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
    as_json: AsJson = False,
) -> None:
    """Bring a model into memory, tell how far that is, and wait until it is ready."""
    from hostler.cli.loading import progress_line
    from hostler.cli.servers import connect
    from hostler.cli.waiting import WaitLine
    from hostler.client import LoadOptions

    options = LoadOptions(force_reload=force_reload)
    if keep_alive is not None:
        options["keep_alive"] = keep_alive
    with connect(url, api_key) as server, WaitLine() as line:
        answer = server.load(model, on_progress=lambda progress: line.tell(progress_line(model, progress)), **options)
    typer.echo(to_json(answer) if as_json else answer["message"])


@app.command()
@reports_errors
def unload(
    model: Model,
    force: Annotated[bool, typer.Option("--force", help="Do not wait for its requests; they fail.")] = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Have a model leave memory once its requests are done."""
    from hostler.cli.servers import connect

    with connect(url, api_key) as server:
        answer = server.unload(model, force=force)
    typer.echo(to_json(answer) if as_json else answer["message"])


@app.command()
@reports_errors
def plan(model: Model, url: Url = DEFAULT_URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Say what would happen if a model were asked for now, and why. Changes nothing."""
    from hostler.cli import explaining
    from hostler.cli.servers import LOOK_TIMEOUT_S, connect

    with connect(url, api_key, LOOK_TIMEOUT_S) as server:
        answer = server.plan(model)
    typer.echo(to_json(answer) if as_json else explaining.plan_lines(answer))


@app.command()
@reports_errors
def capabilities(
    model: Model,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AlwaysJson = True,  # noqa: ARG001
) -> None:
    """Print, as JSON, which values a model's parameters take, every limit, and what is known of it. Loads nothing."""
    from hostler.cli.servers import LOOK_TIMEOUT_S, connect

    with connect(url, api_key, LOOK_TIMEOUT_S) as server:
        typer.echo(to_json(server.capabilities(model)))


@app.command()
@reports_errors
def events(
    model: Annotated[str | None, typer.Argument(help="One model alone.", autocompletion=complete_model)] = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, an event a line.")] = False,
) -> None:
    """Tell what happened to the models and why, and go on as it happens, until interrupted.

    A server that goes away is waited for, and nothing that happens to its models is told twice.
    """
    from hostler.cli import explaining, following
    from hostler.cli.servers import connect

    with connect(url, api_key) as server:
        follow = following.follow(
            lambda after: server.events(model, after=after),
            on_loss=lambda problem: typer.echo(f"hostler: {problem}", err=True),
        )
        with contextlib.suppress(KeyboardInterrupt):
            for event in follow:
                typer.echo(to_json_line(event) if as_json else explaining.event_line(event))
