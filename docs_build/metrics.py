"""The page of metrics."""

from collections.abc import Iterator
from typing import Any

from docs_build.application import server_metrics
from docs_build.markdown import code, document, table

_LEAD = """
`GET /metrics` answers in Prometheus' text format, unless `enable_metrics` is false. `model` is a model's id, `key` the
name of a key and never the key, `resource` is `host` or a GPU such as `cuda:0`; `-` stands for none. What to watch is
told in [Operating](../operating.md#metrics).
"""


def page() -> str:
    rows = ([code(name), kind, ", ".join(map(code, labels)), tells] for name, kind, labels, tells in metrics())
    return document("Metrics", _LEAD, table(["metric", "kind", "labels", "tells"], rows))


def metrics() -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """Name as it is served, kind, labels, meaning."""
    for collector in _collectors(server_metrics().registry):
        for family in collector.collect():
            name = f"{family.name}_total" if family.type == "counter" else family.name
            # Only the samples have the labels in public, and before the first request there is none.
            labels: tuple[str, ...] = getattr(family, "_labelnames", ()) or getattr(collector, "_labelnames", ())
            yield name, family.type, tuple(labels), family.documentation


def _collectors(registry: Any) -> list[Any]:
    """In the order of their registration."""
    return list(registry._collector_to_names)
