"""All metrics of one server."""

from prometheus_client import CollectorRegistry, disable_created_metrics, generate_latest

from hostler.lifecycle.manager import ModelManager
from hostler.telemetry.engine_metrics import EngineMetrics
from hostler.telemetry.model_labels import ModelLabels
from hostler.telemetry.request_metrics import RequestMetrics
from hostler.telemetry.stable_metrics import StableMetrics


class ServerMetrics:
    """In a registry of their own, so that servers in one process do not mix."""

    def __init__(self, manager: ModelManager) -> None:
        # A series beside each counter that nobody asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        model_labels = ModelLabels()
        self.requests = RequestMetrics(self.registry, model_labels)
        StableMetrics(manager, self.registry, model_labels)
        self._engines = EngineMetrics(manager.workers)
        self.registry.register(self._engines)

    async def scrape(self) -> bytes:
        """Prometheus' text format."""
        await self._engines.ask()
        return generate_latest(self.registry)
