"""What a model will take, before it is loaded."""

import re

from hostler.config import Settings
from hostler.registry import ModelSpec
from hostler.types import Estimate, Footprint, FootprintBasis, ModelFacts

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMBT])", re.IGNORECASE)
_PARAMETERS = {"K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}


class FootprintEstimator:
    """Implements `hostler.lifecycle.ports.Estimator`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def estimate(self, spec: ModelSpec, device: str) -> Estimate:  # noqa: ARG002
        match = _SIZE.match(spec.size)
        num_parameters = int(float(match[1]) * _PARAMETERS[match[2].upper()]) if match else 10**9
        footprint = Footprint(
            weights_bytes=2 * num_parameters,
            kv_cache_bytes=2**30,
            workspace_bytes=2**27,
            process_bytes=2**28,
            basis=FootprintBasis.SIZE,
        )
        return Estimate(footprint=footprint)

    async def record(self, spec: ModelSpec, footprint: Footprint, facts: ModelFacts) -> None:
        """Nothing is remembered."""
