"""`hostler models --watch`: the table as it changes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from time import sleep
from typing import NoReturn

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from hostler.cli import listing
from hostler.cli.consoles import is_live
from hostler.cli.engine_readings import EngineReading, EngineReadings
from hostler.cli.json_output import to_json_line
from hostler.cli.servers import AWAY
from hostler.client import Hostler
from hostler.errors import NotFoundError, PermissionDeniedError
from hostler.protocol.native_answers import MemorySummary, ModelRow
from hostler.quantities import format_bytes

Choose = Callable[[dict[str, ModelRow]], dict[str, ModelRow]]


@dataclass(frozen=True)
class Look:
    """A server at one moment."""

    rows: dict[str, ModelRow]
    """Those that were chosen, the ones in memory first."""
    engines: dict[str, EngineReading] | None
    """By model id; `None` where the server has no metrics, or not for this key."""
    memory: MemorySummary | None


class StableView:
    """Looks at a server again and again."""

    def __init__(self, server: Hostler, choose: Choose) -> None:
        """`choose`: which of the models are looked at."""
        self._server = server
        self._choose = choose
        self._readings = EngineReadings()
        self._has_metrics = True

    def look(self) -> Look:
        """Raises what the client raises."""
        rows = self._choose(self._server.models())
        in_order = sorted(rows, key=lambda model_id: rows[model_id]["state"] in ("unloaded", "failed"))
        memory = self._server.health().get("memory")
        return Look({model_id: rows[model_id] for model_id in in_order}, self._engines(), memory)

    def _engines(self) -> dict[str, EngineReading] | None:
        if not self._has_metrics:
            return None
        try:
            return self._readings.read(self._server.metrics(), time.monotonic())
        except (NotFoundError, PermissionDeniedError):
            self._has_metrics = False
            return None


def watch(view: StableView, console: Console, *, interval_s: float, as_json: bool) -> None:
    """Until interrupted. A server that goes away is waited for; one that is not there at first is an error."""
    if as_json or not is_live(console):
        _print_looks(view, console, interval_s, as_json=as_json)
    shown: RenderableType | None = None
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            try:
                shown = _screen(view.look(), console.width)
                live.update(shown, refresh=True)
            except AWAY as exc:
                if shown is None:
                    raise
                live.update(Group(shown, Text(f"{exc}; trying again", "yellow")), refresh=True)
            sleep(interval_s)


def _print_looks(view: StableView, console: Console, interval_s: float, *, as_json: bool) -> NoReturn:
    """One after the other; what is wrong goes to stderr."""
    is_first = True
    while True:
        try:
            look = view.look()
            console.print(_json_line(look) if as_json else Group(_screen(look, console.width), ""), soft_wrap=as_json)
        except AWAY as exc:
            if is_first:
                raise
            typer.echo(f"hostler: {exc}; trying again", err=True)
        is_first = False
        sleep(interval_s)


def _screen(look: Look, width: int) -> Group:
    return Group(listing.table(look.rows, width, time.time(), look.engines), "", Text(_totals(look), "dim"))


def _totals(look: Look) -> str:
    """What all of them take together, and give."""
    in_memory = sum(row["state"] not in ("unloaded", "failed") for row in look.rows.values())
    facts = [f"{in_memory} of {len(look.rows)} in memory"]
    for resource, budget in (look.memory["budget"] if look.memory else {}).items():
        taken = budget - look.memory["free"].get(resource, 0) if look.memory else 0
        facts.append(f"{resource} {format_bytes(taken)} of {format_bytes(budget)}")
    if look.engines is not None:
        facts.append(f"{sum(engine.tokens_per_s or 0.0 for engine in look.engines.values()):.1f} tokens/s")
    return " · ".join(facts)


def _json_line(look: Look) -> str:
    """The rows of `/models`, with the pace of each model that is known."""
    engines = look.engines or {}
    paces = {model_id: engine.tokens_per_s for model_id, engine in engines.items()}
    rows = {model_id: {**row, "tokens_per_second": paces.get(model_id)} for model_id, row in look.rows.items()}
    return to_json_line(rows)
