"""What several commands are given in the same way. Imports nothing that takes time."""

from pathlib import Path
from typing import Annotated

import typer

from hostler.cli.completing import complete_model

DEFAULT_URL = "http://127.0.0.1:8000"
"""The client's own, whose import would take longer than all of `--help`."""

Url = Annotated[str, typer.Option("--url", envvar="HOSTLER_URL", help="Where the server is.")]
ApiKey = Annotated[
    str | None,
    typer.Option("--api-key", envvar=["HOSTLER_API_KEY", "API_KEY"], help="The server's key; better set the variable."),
]
RegistryOption = Annotated[
    Path | None, typer.Option("--config", help="Registry file.  [default: MODEL_CONFIG_PATH, else the shipped one]")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AlwaysJson = Annotated[bool, typer.Option("--json", help="What it always prints.")]
Model = Annotated[
    str, typer.Argument(help="Id or Hugging Face name of a registered model.", autocompletion=complete_model)
]
