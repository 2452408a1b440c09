"""Ids of models for the shell's completion: from the running server, else from the registry file, else none."""

import os
from collections.abc import Iterable
from pathlib import Path

import typer

TIMEOUT_S = 0.5
"""Longer, and whoever pressed Tab thinks that nothing happens."""


def complete_model(context: typer.Context, incomplete: str) -> list[str]:
    """Those that begin so. Called by the shell's completion; whatever goes wrong, there is nothing to choose from."""
    url = context.params.get("url")
    config = context.params.get("config")
    ids = _of_server(url, context.params.get("api_key")) if "url" in _option_names(context) else None
    if ids is None:
        ids = _of_file(config)
    return sorted(model_id for model_id in ids if model_id.startswith(incomplete))


def _option_names(context: typer.Context) -> set[str | None]:
    return {parameter.name for parameter in context.command.params}


def _of_server(url: str | None, api_key: str | None) -> Iterable[str] | None:
    """`None`: no server answers, or it wants another key."""
    from hostler.client import Hostler
    from hostler.client.connection import DEFAULT_URL
    from hostler.errors import HostlerError

    key = api_key or os.environ.get("HOSTLER_API_KEY") or os.environ.get("API_KEY")
    try:
        address = url or os.environ.get("HOSTLER_URL") or DEFAULT_URL
        with Hostler(address, api_key=key, timeout_s=TIMEOUT_S, max_retries=0) as server:
            return list(server.models())
    except (HostlerError, OSError):
        return None


def _of_file(config: Path | None) -> Iterable[str]:
    """Its keys alone: to check the whole file takes longer than somebody waits who pressed Tab."""
    import yaml

    path = config or os.environ.get("MODEL_CONFIG_PATH") or Path(__file__).parents[1] / "models.yaml"
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return ()
    models = content.get("models") if isinstance(content, dict) else None
    return map(str, models) if isinstance(models, dict) else ()
