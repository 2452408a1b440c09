"""The dashboard and the alert rules, checked against the metrics that there are."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hostler.config import Settings
from hostler.lifecycle.events import LeaveReason
from hostler.lifecycle.manager import ModelManager
from hostler.registry import Registry
from hostler.telemetry.server_metrics import ServerMetrics
from hostler.testing.estimator import FakeEstimator
from hostler.testing.worker import FakeLauncher
from hostler.types import ModelState

ROOT = Path(__file__).parent.parent.parent
OF_PROMETHEUS = {"instance", "job"}
"""Labels that it adds itself."""
VALUES = {
    "reason": {*(reason.value for reason in LeaveReason), "died"},
    "state": {state.value for state in ModelState},
    "resource": {"host"},
}
"""Of labels that have a closed set of them."""


def served() -> dict[str, set[str]]:
    """Name of each series that the server has → its labels."""
    registry = ServerMetrics(ModelManager(Registry({}), Settings(), FakeLauncher(), FakeEstimator())).registry
    series: dict[str, set[str]] = {}
    for collector in registry._collector_to_names:
        for family in collector.collect():
            labels = set(getattr(family, "_labelnames", ()) or getattr(collector, "_labelnames", ()))
            match family.type:
                case "histogram":
                    series |= {f"{family.name}_{suffix}": labels for suffix in ("sum", "count")}
                    series[f"{family.name}_bucket"] = labels | {"le"}
                case "counter":
                    series[f"{family.name}_total"] = labels
                case _:
                    series[family.name] = labels
    return series


def dashboard() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((ROOT / "deploy" / "grafana" / "hostler.json").read_text())
    return content


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def queries() -> Iterator[tuple[str, str, list[str]]]:
    """Where it stands, the expression, and the labels that its legend or its text shows."""
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"], re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
    for rule in rules():
        text = " ".join(rule["annotations"].values())
        yield rule["alert"], rule["expr"], re.findall(r"\$labels\.(\w+)", text)


SERVED = served()
QUERIES = list(queries())


def test_the_servers_metrics_are_read_with_their_labels() -> None:
    assert SERVED["hostler_requests_total"] == {"route", "method", "status", "model", "key"}
    assert SERVED["hostler_inter_token_seconds_bucket"] == {"model", "le"}
    assert SERVED["hostler_model_memory_reserved_bytes"] == {"model", "resource"}
    assert SERVED["hostler_requests_in_flight"] == set()


@pytest.mark.parametrize(("place", "expression", "shown"), QUERIES, ids=[place for place, _, _ in QUERIES])
def test_every_metric_and_label_of_a_query_is_served(place: str, expression: str, shown: list[str]) -> None:
    names = set(re.findall(r"\bhostler_\w+", expression))
    assert names <= set(SERVED)
    for name, matchers in re.findall(r"\b(\w+)\{([^}]*)\}", expression):
        for label, value in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"([^\"]*)\"", matchers):
            assert label in SERVED.get(name, set()) | OF_PROMETHEUS
            if label in VALUES and not value.startswith("$"):
                assert set(value.split("|")) <= VALUES[label]
    common = set.intersection(*(SERVED[name] for name in names)) if names else set()
    grouped = {label.strip() for labels in re.findall(r"\bby \(([^)]*)\)", expression) for label in labels.split(",")}
    assert grouped <= common | OF_PROMETHEUS
    left = grouped if grouped else common | OF_PROMETHEUS
    assert set(shown) <= left - {"le"}


def test_every_metric_but_sums_is_shown_on_the_dashboard() -> None:
    shown = {name for place, expression, _ in QUERIES for name in re.findall(r"\bhostler_\w+", expression)}
    assert {name for name in SERVED if not name.endswith(("_sum", "_count"))} <= shown


def test_the_dashboards_variables_are_asked_of_metrics_that_there_are() -> None:
    variables = dashboard()["templating"]["list"]
    asked = [re.fullmatch(r"label_values\((\w+), (\w+)\)", each["query"]) for each in variables[1:]]
    for found in asked:
        assert found is not None
        assert found[2] in SERVED[found[1]] | OF_PROMETHEUS
    used = set(re.findall(r"\$(?!__)(\w+)", " ".join(expression for _, expression, _ in QUERIES[: -len(rules())])))
    assert used == {each["name"] for each in variables[1:]}


def test_panels_have_places_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not taken & cells
        assert all(x < 24 for x, _ in cells)
        taken |= cells
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(ids) == len(set(ids))


def test_every_rule_says_what_is_wrong_and_what_to_do() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert set(rule["annotations"]) == {"summary", "description"}


def test_every_rule_is_documented_and_every_documented_rule_exists() -> None:
    rows = re.findall(r"^\| (`Hostler.*?) \|", (ROOT / "docs" / "operating.md").read_text(), re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(rows))) == {rule["alert"] for rule in rules()}
