"""The table of models: which rows, which columns, and how they fit the terminal."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hostler.cli.engine_readings import EngineReading
from hostler.protocol.native_answers import ModelRow
from hostler.quantities import format_bytes, spell_keep_alive

Rows = dict[str, ModelRow]
Readings = Mapping[str, EngineReading]
_STYLES = {"ready": "green", "loading": "yellow", "unloading": "yellow", "failed": "red"}
_GAP = 2
"""Spaces between columns."""


def rows_of_file(config: Path | None) -> dict[str, ModelRow]:
    """The models of the registry file by id, as a server that has just started shows them.

    Raises:
        ConfigError: the file cannot be used.
    """
    from hostler.catalogue import read_catalogue  # takes half a second, which those of a server need not wait for
    from hostler.config import registry_path

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


def chosen(rows: Rows, words: Iterable[str], states: Iterable[str]) -> dict[str, ModelRow]:
    """Those that have every word somewhere in id, name, type, size or description, and one of the states, if any."""
    wanted = [word.casefold() for word in words]
    allowed = set(states)
    return {
        model_id: row
        for model_id, row in rows.items()
        if (not allowed or row["state"] in allowed) and all(word in _searched(model_id, row) for word in wanted)
    }


def _searched(model_id: str, row: ModelRow) -> str:
    return " ".join((model_id, row["name"], row["type"], row["size"], row["description"])).casefold()


@dataclass(frozen=True)
class Column:
    """One column of the table."""

    heading: str
    importance: int
    """Of a terminal that is too narrow, the column with the least is left out first."""
    cell: Callable[[str, ModelRow, EngineReading | None], str]
    justify: Literal["left", "right"] = "left"


def columns(now: float) -> tuple[Column, ...]:
    """`now`: Unix seconds."""
    return (
        Column("id", 10, lambda model_id, _row, _reading: model_id),
        Column("state", 9, lambda _id, row, _reading: _state(row)),
        Column("type", 4, lambda _id, row, _reading: row["type"]),
        Column("size", 1, lambda _id, row, _reading: row["size"]),
        Column("device", 2, lambda _id, row, _reading: row["device"] or "-"),
        Column("memory", 7, lambda _id, row, _reading: _memory(row), "right"),
        Column("in flight", 8, lambda _id, row, _reading: _count(row["num_leases"]), "right"),
        Column("queued", 6, lambda _id, row, reading: _count(_queued(row, reading)), "right"),
        Column("tokens/s", 7, lambda _id, _row, reading: _pace(reading), "right"),
        Column("last used", 5, lambda _id, row, _reading: _last_used(row, now), "right"),
        Column("keep alive", 3, lambda _id, row, _reading: _keep_alive(row), "right"),
    )


def table(rows: Rows, width: int, now: float, readings: Readings | None = None) -> Table:
    """As many columns as there is room for. `readings`: of the engines; without them there is no pace."""
    shown = [column for column in columns(now) if readings is not None or column.heading != "tokens/s"]
    known = readings or {}
    cells = {
        column.heading: [column.cell(model_id, row, known.get(model_id)) for model_id, row in rows.items()]
        for column in shown
    }
    while len(shown) > 1 and _width(cells, shown) > width:
        shown.remove(min(shown, key=lambda column: column.importance))
    made = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for column in shown:
        made.add_column(column.heading, justify=column.justify, no_wrap=True, overflow="ellipsis")
    for number, row in enumerate(rows.values()):
        style = _STYLES.get(row["state"], "")
        made.add_row(
            *(Text(cells[column.heading][number], style if column.heading == "state" else "") for column in shown)
        )
    return made


def print_table(rows: Rows, console: Console) -> None:
    """One line for each model, as wide as the terminal; in full where the output is no terminal."""
    console.print(table(rows, console.width, time.time()))


def _width(cells: Mapping[str, list[str]], shown: list[Column]) -> int:
    widths = (max(map(cell_len, (column.heading, *cells[column.heading]))) for column in shown)
    return sum(widths) + _GAP * (len(shown) - 1)


def _state(row: ModelRow) -> str:
    state = "-" if row["state"] == "unloaded" else row["state"]
    return f"{state} (gated)" if row["gated"] else state


def _memory(row: ModelRow) -> str:
    return format_bytes(row["memory_bytes"]) if row["memory_bytes"] else "-"


def _queued(row: ModelRow, reading: EngineReading | None) -> int:
    """Requests that wait for the model, and sequences that wait inside it."""
    return row["num_waiting"] + (reading.num_waiting if reading is not None else 0)


def _count(number: int) -> str:
    return str(number) if number else "-"


def _pace(reading: EngineReading | None) -> str:
    return f"{reading.tokens_per_s:.1f}" if reading is not None and reading.tokens_per_s else "-"


def _last_used(row: ModelRow, now: float) -> str:
    if row["last_used"] is None:
        return "-"
    return f"{_span(max(0.0, now - datetime.fromisoformat(row['last_used']).timestamp()))} ago"


def _keep_alive(row: ModelRow) -> str:
    if row["pinned"]:
        return "pinned"
    return "for ever" if row["keep_alive"] < 0 else _span(row["keep_alive"])


def _span(seconds: float) -> str:
    """`12s`, `3m`, `2h`, `5d`."""
    for unit, length_s in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length_s:
            return f"{seconds / length_s:.0f}{unit}"
    return f"{seconds:.0f}s"
