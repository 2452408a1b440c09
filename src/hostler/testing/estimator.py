"""An estimator without files: every model takes what the test says."""

from dataclasses import dataclass, field

from hostler.accelerators import Gpus
from hostler.memory import Estimate, Footprint, FootprintBasis
from hostler.registry import ModelSpec
from hostler.types import ModelFacts


def footprint(weights_bytes: int, *, basis: FootprintBasis = FootprintBasis.HEADERS) -> Footprint:
    """Of a model that takes nothing but its weights."""
    return Footprint(weights_bytes=weights_bytes, kv_cache_bytes=0, workspace_bytes=0, process_bytes=0, basis=basis)


@dataclass
class FakeEstimator:
    """Implements `hostler.lifecycle.ports.Estimator`."""

    estimates: dict[str, Estimate] = field(default_factory=dict)
    """By model id; a model that is not there takes nothing."""
    recorded: list[tuple[str, Footprint, ModelFacts]] = field(default_factory=list)

    async def estimate(self, spec: ModelSpec, device: str) -> Estimate:
        return self.estimates.get(spec.id, Estimate(footprint=footprint(0)))

    async def record(self, spec: ModelSpec, footprint: Footprint, facts: ModelFacts) -> None:
        self.recorded.append((spec.id, footprint, facts))


class NoGpus(Gpus):
    """A machine without accelerators, known at once."""

    async def probe(self) -> None:
        self.visible = []
