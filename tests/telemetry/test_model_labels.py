from prometheus_client import CollectorRegistry, generate_latest

from hostler.telemetry.model_labels import OTHER, ModelLabels
from hostler.telemetry.request_metrics import RequestMetrics


def test_models_beyond_the_bound_share_a_label_and_those_before_keep_theirs() -> None:
    labels = ModelLabels(max_models=2)
    assert [labels.of(model_id) for model_id in ("a", "b", "c", "a", "d")] == ["a", "b", OTHER, "a", OTHER]


def test_series_do_not_grow_with_the_models_that_callers_name() -> None:
    registry = CollectorRegistry()
    metrics = RequestMetrics(registry, ModelLabels(max_models=3))
    for number in range(100):
        metrics.note_request(route="/chat", method="POST", status=200, model_id=f"owner/{number}", key="-", seconds=0.1)
    counted = [
        line for line in generate_latest(registry).decode().splitlines() if line.startswith("hostler_requests_total")
    ]
    assert len(counted) == 4
    assert any('model="other"' in line and line.endswith(" 97.0") for line in counted)
