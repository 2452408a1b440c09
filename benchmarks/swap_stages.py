"""Where the time of a switch goes, by the lines that Hostler logs on its way."""

import re
import statistics
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

STAGES = (
    ("decided", r"model_leaving model={old}"),
    ("old worker gone", r"model_unloaded model={old}"),
    ("new worker forked", r"worker_started model={new}"),
    ("new worker ready to load", r"model_load_stage model={new} stage=loading"),
    ("weights loaded", r"weights_loaded model={new}"),
    ("warm-up begun", r"model_load_stage model={new} stage=warming"),
    ("model loaded", r"model_loaded model={new}"),
)
"""Each with the line that ends it, in the order in which they come."""
FIRST_TOKEN = "first token at the client"
_TIME = re.compile(r"^(\S+Z) ")


def stages(log: Path, old: str, new: str, began: float, first_token: float) -> dict[str, float]:
    """Seconds of each stage of one switch; `began` and `first_token` in Unix time.

    A stage whose line was not logged is left out, its time counted with the next.
    """
    lines = [(_unix_time(found[1]), line) for line in log.read_text().splitlines() if (found := _TIME.match(line))]
    seconds: dict[str, float] = {}
    before = began
    for name, pattern in STAGES:
        expected = re.compile(pattern.format(old=re.escape(old), new=re.escape(new)) + r"\b")
        # A line has milliseconds, and so may seem to come before its cause.
        at = next((time for time, line in lines if time >= began - 0.001 and expected.search(line)), None)
        if at is not None:
            seconds[name] = max(0.0, at - before)
            before = max(before, at)
    seconds[FIRST_TOKEN] = max(0.0, first_token - before)
    return seconds


def medians(switches: Sequence[dict[str, float]]) -> dict[str, float]:
    """Of each stage, over those switches that have it."""
    names = [*(name for name, _ in STAGES), FIRST_TOKEN]
    values = {name: [switch[name] for switch in switches if name in switch] for name in names}
    return {name: statistics.median(seconds) for name, seconds in values.items() if seconds}


def _unix_time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
