"""`hostler check` and `hostler doctor`: what may go wrong, before it does. Imports what a command needs inside it."""

from typing import Annotated

import typer

from hostler.cli.completing import complete_model
from hostler.cli.failures import EXIT_FAILED, reports_errors
from hostler.cli.json_output import to_json
from hostler.cli.options import AsJson, RegistryOption

app = typer.Typer(rich_markup_mode=None)


@app.command()
@reports_errors
def check(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            help="Ids or Hugging Face names of registered models.  [default: all]", autocompletion=complete_model
        ),
    ] = None,
    config: RegistryOption = None,
    as_json: AsJson = False,
) -> None:
    """Say of each registered model what a load of it would meet: access, revision, formats, code, licence, size, fit.

    Downloads nothing but headers. The exit status is 1 where a model could not be served.
    """
    from hostler.cli import checking
    from hostler.cli.consoles import plain_console

    if files := [name for name in models or [] if name.endswith((".yaml", ".yml"))]:
        raise typer.BadParameter(f"{files[0]} is no model: a registry file is given with --config")
    checked = checking.check_models(config, models or [])
    if as_json:
        typer.echo(to_json(checking.record(checked)))
    else:
        checking.print_report(checked, plain_console())
    if any(one.problems for one in checked):
        raise typer.Exit(EXIT_FAILED)


@app.command()
@reports_errors
def doctor(config: RegistryOption = None, as_json: AsJson = False) -> None:
    """Look at Python, torch, devices, folders, the token, the port, keys and known holes, and say what to do.

    The exit status is 1 where something would keep the server from working, or is dangerous.
    """
    from hostler.cli import doctor as checks
    from hostler.cli.consoles import plain_console

    findings = checks.examine_machine(config)
    if as_json:
        typer.echo(to_json(checks.record(findings)))
    else:
        checks.print_findings(findings, plain_console())
    if checks.has_problems(findings):
        raise typer.Exit(EXIT_FAILED)
