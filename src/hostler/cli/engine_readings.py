"""What the engines of a server do at the moment, from its `/metrics`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_SERIES = re.compile(r'^(hostler_engine_(?:step_sequences_total|waiting_sequences))\{model="([^"]*)"\} (\S+)$', re.M)


@dataclass(frozen=True)
class EngineReading:
    """Of one model."""

    num_stepped: float
    """Sequences that its steps computed something of, summed from its load on."""
    num_waiting: int
    """Sequences that have not begun."""
    tokens_per_s: float | None = None
    """Of all its answers together, since the reading before; `None` where there was none."""


class EngineReadings:
    """Reads again and again; a pace is that between two readings.

    A step gives each of its sequences one token, so sequences stepped are tokens written; a piece of a prompt counts as
    one too, which matters only where prompts are long and answers short.
    """

    def __init__(self) -> None:
        self._before: Mapping[str, EngineReading] = {}
        self._read_at = 0.0

    def read(self, metrics: str, now: float) -> dict[str, EngineReading]:
        """By model id. `metrics`: Prometheus' text format; `now`: any clock's seconds, the same at each reading."""
        values: dict[str, dict[str, float]] = {}
        for series, model_id, value in _SERIES.findall(metrics):
            values.setdefault(model_id, {})[series] = float(value)
        readings = {
            model_id: self._with_pace(
                model_id,
                EngineReading(
                    num_stepped=series.get("hostler_engine_step_sequences_total", 0.0),
                    num_waiting=int(series.get("hostler_engine_waiting_sequences", 0)),
                ),
                now,
            )
            for model_id, series in values.items()
        }
        self._before, self._read_at = readings, now
        return readings

    def _with_pace(self, model_id: str, reading: EngineReading, now: float) -> EngineReading:
        before = self._before.get(model_id)
        # A sum that fell is that of a new load.
        if before is None or now <= self._read_at or reading.num_stepped < before.num_stepped:
            return reading
        pace = (reading.num_stepped - before.num_stepped) / (now - self._read_at)
        return EngineReading(reading.num_stepped, reading.num_waiting, pace)
