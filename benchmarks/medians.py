"""Tables of several runs of several servers."""

import statistics

Runs = dict[str, list[list[dict[str, float]]]]
"""Name of a server → its runs → a record for each level."""

FIGURES = {
    "tokens_per_s": "tokens per second",
    "ttft_p50_ms": "time to first token, p50, ms",
    "itl_p50_ms": "time between tokens, p50, ms",
    "total_p95_ms": "whole answer, p95, ms",
    "mean_answer_tokens": "tokens of an answer, mean",
    "client_cpu_s": "the client's processor time, s",
}


def tables(runs: Runs) -> str:
    """One table for each figure, in Markdown: a row for each level, a column for each server.

    Beside the first figure stands how many times the first server's is the others'.
    """
    first, *others = runs
    levels = sorted({record["level"] for records in runs.values() for run in records for record in run})
    text = []
    for figure, title in FIGURES.items():
        has_ratios = figure == "tokens_per_s"
        header = ["streams", *runs, *(f"{first} ÷ {other}" for other in others if has_ratios)]
        text += [f"{title}, median of runs\n", "| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
        for level in levels:
            medians = {name: _median(records, level, figure) for name, records in runs.items()}
            cells = [_spelled(median) for median in medians.values()]
            if has_ratios:
                cells += [_ratio(medians[first], medians[other]) for other in others]
            text.append(f"| {level:g} | " + " | ".join(cells) + " |")
        text.append("")
    return "\n".join(text) + "\n"


def _median(records: list[list[dict[str, float]]], level: float, figure: str) -> float | None:
    """`None` where the level was not measured."""
    values = [record[figure] for run in records for record in run if record["level"] == level]
    return statistics.median(values) if values else None


def _spelled(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _ratio(ours: float | None, theirs: float | None) -> str:
    return "–" if ours is None or not theirs else f"{ours / theirs:.2f}"
