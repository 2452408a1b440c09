"""The table of models."""

import json
from pathlib import Path

from rich.table import Table

from hostler.catalogue import read_catalogue
from hostler.cli.consoles import plain_console
from hostler.client import Hostler
from hostler.config import registry_path
from hostler.protocol.native_answers import ModelRow
from hostler.quantities import spell_keep_alive

TIMEOUT_S = 30.0
"""Listing loads nothing, so a server that takes longer is in trouble."""


def rows_of_server(url: str, api_key: str | None) -> dict[str, ModelRow]:
    """The models of a running server by id. Raises what `Hostler.models` raises."""
    with Hostler(url, api_key=api_key, timeout_s=TIMEOUT_S) as server:
        return server.models()


def rows_of_file(config: Path | None) -> dict[str, ModelRow]:
    """The models of the registry file by id, as a server that has just started shows them.

    Raises:
        ConfigError: the file cannot be used.
    """
    settings, registry = read_catalogue(registry_path(config), {"insecure_no_auth": True})
    return {
        spec.id: {
            "name": spec.name,
            "type": spec.type.value,
            "size": spec.size,
            "description": spec.description,
            "max_length": spec.max_length,
            "suggested_temperature": spec.suggested_temperature,
            "gated": spec.gated,
            "loaded": False,
            "loading": False,
            "device": None,
            "last_used": None,
            "memory_bytes": 0,
            "pinned": spec.pinned,
            "keep_alive": spell_keep_alive(spec.keep_alive_s, settings.keep_alive_s),
            "state": "unloaded",
            "num_leases": 0,
            "num_waiting": 0,
            "reserved": {},
            "last_error": None,
        }
        for spec in registry.values()
    }


def to_json(rows: dict[str, ModelRow]) -> str:
    return json.dumps(rows, indent=2, ensure_ascii=False)


def print_table(rows: dict[str, ModelRow]) -> None:
    """Print one line for each model, as wide as the terminal; in full where the output is no terminal."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("id", "type", "size", "state", "device", "last used"):
        table.add_column(heading, no_wrap=True)
    for model_id, row in rows.items():
        last_used = (row["last_used"] or "-")[:19].replace("T", " ")
        table.add_row(model_id, row["type"], row["size"], _state(row), row["device"] or "-", last_used)
    plain_console().print(table)


def _state(row: ModelRow) -> str:
    state = "ready" if row["loaded"] else "loading" if row["loading"] else "-"
    return f"{state} (gated)" if row["gated"] else state
