"""`hostler bench`: what a running server gives under a small load, in a table and two plots."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from hostler.bench.chat_stream import ChatError, Endpoint
from hostler.bench.serving_load import Load, LoadGenerator, Measurement
from hostler.cli.waiting import WaitLine
from hostler.errors import ServiceError

_BAR_WIDTH = 24
_SHOWN_ERRORS = 3


@dataclass(frozen=True)
class Bench:
    """What is asked of which server."""

    url: str
    api_key: str | None
    model_id: str
    streams: Sequence[int]
    num_requests: int
    """At each level; at least one for each stream."""
    num_prompt_words: int
    max_tokens: int

    def run(self, line: WaitLine) -> list[Measurement]:
        """One level after the other; `line` tells how far it is.

        Raises:
            ServiceError: not even the first, unmeasured requests were answered.
        """
        return asyncio.run(self._run(line))

    async def _run(self, line: WaitLine) -> list[Measurement]:
        load = Load([self.model_id], self.num_prompt_words, self.max_tokens)
        endpoint = Endpoint(f"{self.url.rstrip('/')}/v1", self.api_key or "none")
        progress = _Progress(line)
        generator = LoadGenerator(endpoint, load, counts_errors=True, on_end=progress.note_end)
        measurements = []
        for num_streams in self.streams:
            line.tell(f"{num_streams} at once: warming up")
            try:
                await generator.warm_up(num_streams)
            except (ChatError, OSError) as exc:
                raise ServiceError(f"{self.model_id} does not answer, so there is nothing to measure: {exc}") from exc
            num_requests = max(self.num_requests, num_streams)
            progress.begin(num_streams, num_requests)
            measurements.append(await generator.closed_loop(num_streams, num_requests))
        return measurements


class _Progress:
    """`4 at once: 7 of 16 answered`."""

    def __init__(self, line: WaitLine) -> None:
        self._line = line
        self._level = ""
        self._num_requests = self._num_ended = 0

    def begin(self, num_streams: int, num_requests: int) -> None:
        self._level, self._num_requests, self._num_ended = f"{num_streams} at once", num_requests, 0

    def note_end(self) -> None:
        self._num_ended += 1
        self._line.tell(f"{self._level}: {self._num_ended} of {self._num_requests} answered")


def record(bench: Bench, measurements: Sequence[Measurement]) -> dict[str, Any]:
    """Every single time too."""
    asked = {
        "url": bench.url,
        "model_id": bench.model_id,
        "prompt_words": bench.num_prompt_words,
        "max_tokens": bench.max_tokens,
    }
    return {**asked, "levels": [measurement.record() for measurement in measurements]}


def print_report(bench: Bench, measurements: Sequence[Measurement], console: Console) -> None:
    """A column for each level, then bars, then what these numbers are and what they are not."""
    console.print(f"{bench.model_id} at {bench.url}\n", soft_wrap=True)
    console.print(_table(measurements))
    marks = "█" if (console.encoding or "").lower().startswith("utf") else "#"
    console.print(f"\n{_plot('tokens/s of all streams', measurements, 'tokens_per_s', marks)}", soft_wrap=True)
    console.print(f"\n{_plot('ms to the first token, 95th percentile', measurements, 'ttft_p95_ms', marks)}")
    console.print(f"\n{_what_it_is(bench, measurements)}")
    errors = [error for measurement in measurements for error in measurement.errors]
    for error in list(dict.fromkeys(errors))[:_SHOWN_ERRORS]:
        console.print(f"failed: {error}", soft_wrap=True)


_ROWS = (
    ("tokens/s", "tokens_per_s", 1),
    ("requests/s", "requests_per_s", 2),
    *((f"TTFT p{percent}", f"ttft_p{percent}_ms", 0) for percent in (50, 95, 99)),
    *((f"ITL p{percent}", f"itl_p{percent}_ms", 1) for percent in (50, 95, 99)),
    *((f"total p{percent}", f"total_p{percent}_ms", 0) for percent in (50, 95, 99)),
    ("prompt tokens", "mean_prompt_tokens", 0),
    ("answer tokens", "mean_answer_tokens", 0),
    ("errors", "num_errors", 0),
)
"""Name, key of the figure, digits behind the point."""


def _table(measurements: Sequence[Measurement]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("streams", no_wrap=True)
    for measurement in measurements:
        table.add_column(f"{measurement.level:.0f}", justify="right", no_wrap=True)
    figures = [measurement.figures() for measurement in measurements]
    for name, key, digits in _ROWS:
        unit = " ms" if key.endswith("_ms") else ""
        table.add_row(f"{name}{unit}", *(f"{figure[key]:.{digits}f}" for figure in figures))
    return table


def _plot(title: str, measurements: Sequence[Measurement], key: str, mark: str) -> str:
    values = [measurement.figures()[key] for measurement in measurements]
    most = max(values, default=0.0) or 1.0
    lines = [title]
    for measurement, value in zip(measurements, values, strict=True):
        bar = mark * max(1, round(_BAR_WIDTH * value / most))
        lines.append(f"{measurement.level:>5.0f} {bar} {value:.3g}")
    return "\n".join(lines)


def _what_it_is(bench: Bench, measurements: Sequence[Measurement]) -> str:
    elapsed_s = sum(measurement.elapsed_s for measurement in measurements)
    cpu_s = sum(measurement.client_cpu_s for measurement in measurements)
    num_requests = sum(len(measurement.timings) for measurement in measurements)
    return (
        f"Measured: {num_requests} streamed chat completions in {elapsed_s:.1f} s, so many at once as each column says,"
        f" a new one when one ended. Prompts of about {bench.num_prompt_words} words, each another; greedy answers of"
        f" {bench.max_tokens} tokens, forced to that length; tokens as the server counts them. TTFT: to the first piece"
        " of text; ITL: from one piece to the next.\n"
        "Not measured: loading the model, which the first requests waited for; shared prefixes; long prompts; other"
        f" models at the same time; anything about the answers' worth. This client took {cpu_s / elapsed_s:.0%} of one"
        " processor, which a server on the same machine could not use."
    )
