"""What many times amount to."""

import statistics


def percentiles(values: list[float]) -> dict[int, float]:
    """The 50th, 95th and 99th; zeros where there is no value."""
    if len(values) < 2:
        return dict.fromkeys((50, 95, 99), values[0] if values else 0.0)
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {percent: cuts[percent - 1] for percent in (50, 95, 99)}
